package redis

import (
	"sync"

	"github.com/penstock-go/penstock/pubsub"
)

// counts find out whether this node is one of the subscribers of a delivery that Redis
// has counted. It is if its own copy arrives, which it does before the reply to a ping
// that was sent after the delivery. The mutex is a leaf.
type counts struct {
	mu   sync.Mutex
	open map[uint64]bool // by the number of the message: the copy has arrived
}

// count is a delivery with the number of its message and of subscribers.
type count struct {
	number, delivery uint64
	nodes            int
}

// expect notes that a delivery will be sent, since its copy may arrive before the reply.
func (c *counts) expect(number uint64) {
	c.mu.Lock()
	c.open[number] = false
	c.mu.Unlock()
}

// echo notes that a message of this node has arrived.
func (c *counts) echo(number uint64) {
	c.mu.Lock()
	if _, ok := c.open[number]; ok {
		c.open[number] = true
	}
	c.mu.Unlock()
}

// close returns the number of other nodes.
func (c *counts) close(e count) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[e.number] {
		e.nodes--
	}
	delete(c.open, e.number)
	return max(e.nodes, 0)
}

// settle gives the hub the counts that are known: without a subscriber there is no copy.
// It returns the others.
func (l *link) settle(all []count) (left []count) {
	left = all[:0]
	for _, e := range all {
		if e.nodes > 0 {
			left = append(left, e)
			continue
		}
		l.give(e)
	}
	return left
}

// conclude gives the hub the counts of deliveries whose copies have arrived by now.
func (l *link) conclude(all []count) {
	for _, e := range all {
		l.give(e)
	}
}

func (l *link) give(e count) {
	nodes := l.counts.close(e)
	if in, ok := l.in.(pubsub.CountReceiver); ok {
		in.Counted(e.delivery, nodes)
	}
}
