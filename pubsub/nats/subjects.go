package nats

import "github.com/penstock-go/penstock/internal/backplane"

// subjects are the subjects of one cluster. The letter after the prefix says what a
// message is.
type subjects struct {
	topics, nodes, processes, owners string // beginnings
	all                              string
}

func newSubjects(prefix string) subjects {
	return subjects{topics: prefix + ".t.", nodes: prefix + ".n.", processes: prefix + ".k.", owners: prefix + ".o.", all: prefix + ".c.all"}
}

func (s *subjects) topic(name string) string   { return s.topics + backplane.Token(name) }
func (s *subjects) node(name string) string    { return s.nodes + backplane.Token(name) }
func (s *subjects) owner(name string) string   { return s.owners + backplane.Token(name) }
func (s *subjects) process(name string) string { return s.processes + backplane.Token(name) }
