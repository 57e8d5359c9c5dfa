package delivery

import (
	"cmp"

	"github.com/penstock-go/penstock/pubsub"
)

// group is the events that are sent together: those of one topic that arrive one after
// another. A write then has several of them, and they keep their order whatever becomes of
// the connections: the endpoint gives a client a later one only if it has taken the
// earlier ones, and one that must be sent again waits for the reports of those before it.
// It belongs to the stage's goroutine.
type group[T any] struct {
	flights []*flight[T]
	list    []pubsub.Delivery // of flights, for the endpoint
}

// add adds an event that is to be sent.
func (g *group[T]) add(f *flight[T]) { g.flights = append(g.flights, f) }

// joins reports whether an event can be sent together with those of the group.
func (c *Consumer[T]) joins(f *flight[T]) bool {
	first := c.group.flights
	if len(first) == 0 || first[0].topic != f.topic || c.cluster {
		return false
	}
	history := c.endpoint.PubSub().History()
	return history == nil || !history.Keeps(f.topic)
}

// sendGroup gives the events of the group to the endpoint and handles what was reported
// meanwhile.
func (c *Consumer[T]) sendGroup() {
	g := &c.group
	switch len(g.flights) {
	case 0:
		return
	case 1:
		c.send(g.flights[0])
	default:
		c.sendTogether()
	}
	clear(g.flights)
	clear(g.list)
	g.flights, g.list = g.flights[:0], g.list[:0]
}

func (c *Consumer[T]) sendTogether() {
	g := &c.group
	for _, f := range g.flights {
		d := pubsub.Delivery{Payload: f.payload, Done: f.done}
		if f.trace.IsSampled() {
			d.Context = c.beginSpan(f)
		}
		g.list = append(g.list, d)
		f.sent, f.together = true, true
	}
	chain(g.flights)
	apart := c.endpoint.DeliverAll(g.flights[0].topic, c.cfg.Event, g.list)
	for i, f := range g.flights {
		if err := cmp.Or(apart, g.list[i].Err); err != nil {
			f.unlink()
			c.notSent(f, err)
		}
	}
	c.look(false)
}

// chain links flights that are sent together.
func chain[T any](flights []*flight[T]) {
	for i, f := range flights[1:] {
		f.ahead, flights[i].behind = flights[i], f
	}
}

// unlink takes a flight that has its report, or will have none, out of its chain.
func (f *flight[T]) unlink() {
	if f.ahead != nil {
		f.ahead.behind = f.behind
	}
	if f.behind != nil {
		f.behind.ahead = f.ahead
	}
	f.ahead, f.behind = nil, nil
}
