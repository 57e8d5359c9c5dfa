package inventory

import (
	"sync"

	"github.com/penstock-go/penstock/examples/sneakers/store"
	"github.com/penstock-go/penstock/pubsub"
)

// maxReports bounds the reports that wait. Beyond it the database is read instead.
const maxReports = 10_000

// reports receives what other nodes have changed: a subscriber must neither block nor call
// its hub, so that Run takes it over. Nothing of it is ever sent on.
type reports struct {
	// Both have room for one: there is something to take, and the copy must be read anew.
	wake, lost chan struct{}

	mu      sync.Mutex
	waiting []func(*state) []Change
}

func newReports() *reports {
	return &reports{wake: make(chan struct{}, 1), lost: make(chan struct{}, 1)}
}

// Deliver implements pubsub.Subscriber.
func (r *reports) Deliver(m *pubsub.Message) bool {
	switch m.Event {
	case markReleased:
		var p released
		if m.Payload.Decode(&p) != nil {
			return false
		}
		return r.put(func(s *state) []Change { return s.release(p.ProductID) })
	case itemSold:
		var now store.Stock
		if m.Payload.Decode(&now) != nil || now.Available < 0 {
			return false
		}
		return r.put(func(s *state) []Change { return s.stock(now) })
	}
	return false // of a later release of this program
}

// HandleLoss implements pubsub.LossHandler.
func (r *reports) HandleLoss(string) { signal(r.lost) }

func (r *reports) put(f func(*state) []Change) bool {
	r.mu.Lock()
	full := len(r.waiting) >= maxReports
	if !full {
		r.waiting = append(r.waiting, f)
	}
	r.mu.Unlock()
	if full {
		signal(r.lost)
		return false
	}
	signal(r.wake)
	return true
}

// take returns what waits.
func (r *reports) take() []func(*state) []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = nil
	return waiting
}

// signal sends unless there is a signal already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
