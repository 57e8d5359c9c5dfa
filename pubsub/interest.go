package pubsub

import (
	"container/list"
	"context"
	"maps"
	"sync"
	"time"
)

// interest follows which topics have a subscription on this node and brings an
// [InterestedRemote] up to date, one batch after another.
//
// Under the lock of a shard a topic only flips an entry here. A topic that came
// and went between two batches is not announced at all. The interest in a topic
// that keeps history lingers after its last subscription, so that a client that
// comes back finds what was broadcast meanwhile; when it ends the positions of
// that topic do not continue.
//
// Lock order: shard.mu → interest.mu, which is a leaf.
type interest struct {
	linger time.Duration
	keeps  func(topic string) bool
	wake   chan struct{}

	mu sync.Mutex
	// running: the hub announces. Without it nothing is waited for.
	running   bool
	changed   map[string]bool     // wanted now, unlike the remote was told
	joining   map[string]*joining // wanted, but not yet in effect
	lingering map[string]*list.Element
	order     list.List // of *lingerer, the first ends first
}

// joining is a topic whose messages from other nodes do not arrive for certain.
type joining struct {
	settled chan struct{} // closed when they do; made by the first that waits
	missed  bool          // something went on without waiting
}

// lingerer is a topic without subscriptions that the remote still counts as
// wanted.
type lingerer struct {
	topic string
	until time.Time
}

// newInterest makes an interest of a node without subscriptions. keeps is called
// with locks held and must not block.
func newInterest(linger time.Duration, keeps func(string) bool) *interest {
	return &interest{
		linger: linger, keeps: keeps, wake: make(chan struct{}, 1),
		changed: make(map[string]bool), joining: make(map[string]*joining), lingering: make(map[string]*list.Element),
	}
}

// flip notes that topic has its first subscription, or has lost its last one. The
// mutex of the topic's shard is held. A nil interest does nothing, so that a hub
// without one has no branch for it.
func (in *interest) flip(topic string, wanted bool) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	told := !in.changed[topic] // the remote knows of the topic, unless a join waits
	switch {
	case wanted && in.lingering[topic] != nil:
		// The remote was never told that the topic was not wanted.
		in.order.Remove(in.lingering[topic])
		delete(in.lingering, topic)
		return
	case wanted:
		in.joining[topic] = &joining{}
	case told && in.keeps(topic):
		in.lingering[topic] = in.order.PushBack(&lingerer{topic, time.Now().Add(in.linger)})
		if in.order.Len() == 1 {
			poke(in.wake)
		}
		return
	default:
		in.settle(topic) // what waits for it need not wait any more
	}
	in.toggle(topic, wanted)
}

// toggle notes a change; two in a row are none. The mutex is held.
func (in *interest) toggle(topic string, wanted bool) {
	poke(in.wake)
	if _, waits := in.changed[topic]; waits {
		delete(in.changed, topic)
		return
	}
	in.changed[topic] = wanted
}

// settle ends the joining of a topic and returns it. The mutex is held.
func (in *interest) settle(topic string) *joining {
	j := in.joining[topic]
	if j == nil {
		return nil
	}
	delete(in.joining, topic)
	if j.settled != nil {
		close(j.settled)
	}
	return j
}

// batch is what the remote is to be told next.
type batch struct {
	joins, leaves []string
	open          map[string]*joining // of all topics that are not in effect, earlier ones too
	next          time.Time           // when the next topic stops lingering; zero if none lingers
}

// take returns what has changed. It runs on the goroutine that announces, before
// the remote is told, without a lock of the hub.
func (in *interest) take(now time.Time) batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	var b batch
	for e := in.order.Front(); e != nil; e = in.order.Front() {
		l := e.Value.(*lingerer)
		if l.until.After(now) {
			b.next = l.until
			break
		}
		in.order.Remove(e)
		delete(in.lingering, l.topic)
		in.settle(l.topic)
		in.toggle(l.topic, false)
	}
	for topic, wanted := range in.changed {
		if wanted {
			b.joins = append(b.joins, topic)
		} else {
			b.leaves = append(b.leaves, topic)
		}
	}
	clear(in.changed)
	// All topics that are not in effect have been told by now, or are told with
	// this batch: the Sync after it settles them.
	b.open = maps.Clone(in.joining)
	return b
}

// inEffect notes that joins are in effect and returns the topics whose messages
// may have been missed by something that did not wait.
func (in *interest) inEffect(joins map[string]*joining) (missed []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for topic, j := range joins {
		if in.joining[topic] != j {
			continue // left meanwhile
		}
		in.settle(topic)
		if j.missed {
			missed = append(missed, topic)
		}
	}
	return missed
}

// setRunning notes that the announcing begins, or that it has ended: then what
// waits goes on, and counts as having missed something.
func (in *interest) setRunning(running bool) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.running = running
	for _, j := range in.joining {
		if !running && j.settled != nil {
			close(j.settled)
			j.settled, j.missed = nil, true
		}
	}
}

// wait waits until topic is in effect, for d at the longest.
func (in *interest) wait(ctx context.Context, topic string, d time.Duration) {
	in.mu.Lock()
	j := in.joining[topic]
	if !in.running || j == nil {
		in.mu.Unlock()
		return
	}
	if j.settled == nil {
		j.settled = make(chan struct{})
	}
	settled := j.settled
	in.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-settled:
		return
	case <-ctx.Done():
	case <-timer.C:
	}
	in.mu.Lock()
	j.missed = true
	in.mu.Unlock()
}
