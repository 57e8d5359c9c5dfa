package backplane

import (
	"context"
	"sync"
)

// Interest follows which topics a node wants, and which of that the network has not
// been told yet. The network is told in batches: a topic that came and went
// between two of them is in neither.
type Interest struct {
	wake func()

	mu      sync.Mutex
	wanted  map[string]struct{}
	changed map[string]bool // wanted now, unlike the network was told
	asked   uint64          // calls of Join and Leave
	told    uint64          // of these, how many the network knows
	waiting chan struct{}   // closed when told grows; nil if nothing waits
}

// NewInterest makes the interest of a node that wants nothing. wake is called
// after each change, without a lock, and must not block.
func NewInterest(wake func()) *Interest {
	return &Interest{wake: wake, wanted: make(map[string]struct{}), changed: make(map[string]bool)}
}

// Join notes that the node wants a topic.
func (in *Interest) Join(topic string) { in.set(topic, true) }

// Leave notes that the node no longer wants a topic.
func (in *Interest) Leave(topic string) { in.set(topic, false) }

func (in *Interest) set(topic string, wanted bool) {
	in.mu.Lock()
	in.asked++
	if _, was := in.wanted[topic]; was != wanted {
		if wanted {
			in.wanted[topic] = struct{}{}
		} else {
			delete(in.wanted, topic)
		}
		if _, waits := in.changed[topic]; waits {
			delete(in.changed, topic) // as the network knows it
		} else {
			in.changed[topic] = wanted
		}
	}
	in.mu.Unlock()
	in.wake()
}

// Take returns what has changed since the last call. Once the network has been told,
// upTo is given to Told.
func (in *Interest) Take() (joins, leaves []string, upTo uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for topic, wanted := range in.changed {
		if wanted {
			joins = append(joins, topic)
		} else {
			leaves = append(leaves, topic)
		}
	}
	clear(in.changed)
	return joins, leaves, in.asked
}

// Told notes that the network has been told of a batch.
func (in *Interest) Told(upTo uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.told = max(in.told, upTo)
	if in.waiting != nil {
		close(in.waiting)
		in.waiting = nil
	}
}

// Forget makes all that is wanted a change: the network knows nothing of this node.
func (in *Interest) Forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	clear(in.changed)
	for topic := range in.wanted {
		in.changed[topic] = true
	}
	in.told = 0
}

// Wait waits until the network has been told of all earlier calls of Join and Leave,
// or until ctx is done.
func (in *Interest) Wait(ctx context.Context) error {
	in.mu.Lock()
	upTo := in.asked
	for in.told < upTo {
		if in.waiting == nil {
			in.waiting = make(chan struct{})
		}
		waiting := in.waiting
		in.mu.Unlock()
		select {
		case <-waiting:
		case <-ctx.Done():
			return ctx.Err()
		}
		in.mu.Lock()
	}
	in.mu.Unlock()
	return nil
}

// Len returns the number of topics that the node wants.
func (in *Interest) Len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.wanted)
}
