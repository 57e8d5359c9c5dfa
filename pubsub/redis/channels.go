package redis

import "github.com/penstock-go/penstock/internal/backplane"

// channels are the channels of one cluster. The letter after the prefix says what a
// message is. The last part has no dot, so that no prefix can be mistaken for another
// one and a part of its channels.
type channels struct {
	topics, nodes, processes, owners string // beginnings
	all                              string
}

func newChannels(prefix string) channels {
	return channels{topics: prefix + ".t.", nodes: prefix + ".n.", processes: prefix + ".k.", owners: prefix + ".o.", all: prefix + ".c.all"}
}

func (c *channels) topic(name string) string   { return c.topics + backplane.Token(name) }
func (c *channels) node(name string) string    { return c.nodes + backplane.Token(name) }
func (c *channels) owner(name string) string   { return c.owners + backplane.Token(name) }
func (c *channels) process(name string) string { return c.processes + backplane.Token(name) }
