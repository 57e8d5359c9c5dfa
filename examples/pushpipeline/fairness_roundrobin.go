package main

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// roundRobin is the obvious dispatcher: a queue for each user, served in turn. It
// does not know what is in flight, and a new user waits until all others had their
// turn. A full queue of a user drops its oldest push, as that of package fair does.
type roundRobin struct {
	// Demand that is not served yet, in pushes.
	asked []int // by subscription
	// By user; a user with an empty queue is not in it.
	queues map[string][]waiting
	turn   []string // users with something waiting, the next one first
	// The length of all queues together.
	held int
}

// waiting is a push in its user's queue.
type waiting struct {
	push push
	seq  uint64
}

const (
	roundRobinQueue  = 1024 // pushes of a user, as many as Fair holds
	roundRobinIntake = 4096 // pushes that it asks its source for
)

var _ dispatcher.Holder[push] = (*roundRobin)(nil)

// newRoundRobin returns a dispatcher without users. The stage's goroutine calls
// all its methods.
func newRoundRobin() *roundRobin { return &roundRobin{queues: make(map[string][]waiting)} }

// Subscribe implements dispatcher.Dispatcher. Numbers of subscriptions are used
// again, so that an old demand is cleared.
func (r *roundRobin) Subscribe(sub int, _ dispatcher.SubscribeConfig) error {
	for len(r.asked) <= sub {
		r.asked = append(r.asked, 0)
	}
	r.asked[sub] = 0
	return nil
}

// Ask adds to the demand of a subscription; Cancel forgets it.
func (r *roundRobin) Ask(sub, n int) { r.asked[sub] += n }
func (r *roundRobin) Cancel(sub int) { r.asked[sub] = 0 }

// Demand is the intake, whatever is asked for: to choose, it must hold pushes
// of many users.
func (r *roundRobin) Demand() int { return roundRobinIntake }

// Held implements dispatcher.Holder.
func (r *roundRobin) Held() int { return r.held }

// Dispatch queues all events, and then serves the subscriptions that have
// asked. It always takes every event, since it holds what no subscription has
// asked for.
func (r *roundRobin) Dispatch(offer dispatcher.Offer[push], out dispatcher.Out[push]) int {
	for i, p := range offer.Events {
		q, seq := r.queues[p.User], offer.First+uint64(i)
		if len(q) >= roundRobinQueue {
			out.Discard(q[0].push, q[0].seq, receipt.KeyFull)
			// Its user keeps its place in turn.
			q = q[1:]
			r.held--
		} else if len(q) == 0 {
			r.turn = append(r.turn, p.User)
		}
		r.queues[p.User] = append(q, waiting{p, seq})
		r.held++
	}
	// Each subscription gets all it has asked for before the next one gets any.
	for sub := range r.asked {
		for ; r.asked[sub] > 0 && len(r.turn) > 0; r.asked[sub]-- {
			next := r.next()
			out.GiveHeld(sub, next.push, next.seq, 0)
		}
	}
	return len(offer.Events)
}

// next takes the first push of the user whose turn it is.
func (r *roundRobin) next() waiting {
	// The caller has checked that there is one.
	user := r.turn[0]
	r.turn = r.turn[1:]
	q := r.queues[user]
	first := q[0]
	if q = q[1:]; len(q) == 0 {
		// The user comes back at the end of turn with the next push.
		delete(r.queues, user)
	} else {
		r.queues[user] = q
		r.turn = append(r.turn, user)
	}
	r.held--
	return first
}

// DiscardHeld discards all queues, in the order of the turns.
func (r *roundRobin) DiscardHeld(out dispatcher.Out[push], reason receipt.Reason) {
	for len(r.turn) > 0 {
		next := r.next()
		out.Discard(next.push, next.seq, reason)
	}
}
