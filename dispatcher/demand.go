package dispatcher

import (
	"math"

	"github.com/penstock-go/penstock/internal/heap"
	"github.com/penstock-go/penstock/internal/option"
)

// Demand hands each batch to the subscription with the greatest demand, among
// equals to the one that has waited longest for its turn. It is the default of a
// stage.
//
// A batch is not spread: the subscription with the greatest demand gets as much
// of it as it has asked for, then the next one. Single events therefore go
// round robin among subscriptions with equal demand. The rule is GenStage's
// DemandDispatcher; the cost of a step is O(log n) in the number of
// subscriptions rather than O(n).
type Demand[T any] struct {
	subs  []demandSub    // by subscription
	heap  heap.Heap[int] // subscriptions with demand, by its negation, then by turn
	total int
	turn  uint64

	moved func(sub uint32, at int) // notes the places in the heap

	saturated bool // total may be less than the sum, and is counted again later
}

// demandSub is what one subscription has asked for and not got.
type demandSub struct {
	outstanding int
	at          int // place in the heap, -1 if not there
}

// NewDemand returns a dispatcher without subscriptions.
func NewDemand[T any]() *Demand[T] {
	d := new(Demand[T])
	d.moved = func(sub uint32, at int) { d.subs[sub].at = at }
	return d
}

// Subscribe implements Dispatcher. It refuses the options of other dispatchers
// with an *OptionError.
func (d *Demand[T]) Subscribe(sub int, opts SubscribeConfig) error {
	owner := option.Owner("dispatcher.Demand")
	if err := option.First(
		owner.Unused("Partition", opts.Partition, "dispatcher.Partition"),
		owner.Unused("Selector", opts.Selector, "dispatcher.Broadcast"),
	); err != nil {
		return err
	}
	for len(d.subs) <= sub {
		d.subs = append(d.subs, demandSub{at: -1})
	}
	d.subs[sub] = demandSub{at: -1}
	return nil
}

// Ask implements Dispatcher.
func (d *Demand[T]) Ask(sub, n int) {
	s := &d.subs[sub]
	before := s.outstanding
	s.outstanding = addSaturating(before, n)
	d.total = addSaturating(d.total, s.outstanding-before)
	d.saturated = d.saturated || d.total == math.MaxInt
	d.requeue(sub)
}

// Cancel implements Dispatcher.
func (d *Demand[T]) Cancel(sub int) {
	d.total -= d.subs[sub].outstanding
	d.subs[sub].outstanding = 0
	d.requeue(sub)
	d.recount()
}

// Demand implements Dispatcher: the sum of the open demand.
func (d *Demand[T]) Demand() int { return d.total }

// Dispatch implements Dispatcher.
func (d *Demand[T]) Dispatch(offer Offer[T], out Out[T]) int {
	taken := 0
	for taken < len(offer.Events) && len(d.heap) > 0 {
		sub := int(d.heap[0].ID)
		s := &d.subs[sub]
		n := min(len(offer.Events)-taken, s.outstanding)
		s.outstanding -= n
		d.total -= n
		d.requeue(sub)
		out.Give(sub, taken, taken+n)
		taken += n
	}
	d.recount()
	return taken
}

// recount computes the sum again after it had saturated.
func (d *Demand[T]) recount() {
	if !d.saturated {
		return
	}
	d.total = 0
	for i := range d.subs {
		d.total = addSaturating(d.total, d.subs[i].outstanding)
	}
	d.saturated = d.total == math.MaxInt
}

// requeue brings the heap up to date with sub's demand, and moves sub after the
// subscriptions with equal demand. One without demand is not in the heap.
func (d *Demand[T]) requeue(sub int) {
	s := &d.subs[sub]
	d.turn++
	if len(d.heap) == 1 && s.at == 0 || len(d.heap) == 0 {
		d.alone(sub, s)
		return
	}
	e := heap.Entry[int]{Key: -s.outstanding, Tie: d.turn, ID: uint32(sub)}
	switch {
	case s.at >= 0 && s.outstanding > 0:
		d.heap.Set(s.at, e, d.moved)
	case s.at >= 0:
		d.heap.Remove(s.at, d.moved)
		s.at = -1
	case s.outstanding > 0:
		d.heap.Push(e, d.moved)
	}
}

// alone is requeue where no other subscription has demand, which is the usual case: there is
// no order to keep.
func (d *Demand[T]) alone(sub int, s *demandSub) {
	d.heap, s.at = d.heap[:0], -1
	if s.outstanding > 0 {
		d.heap = append(d.heap, heap.Entry[int]{Key: -s.outstanding, Tie: d.turn, ID: uint32(sub)})
		s.at = 0
	}
}

// addSaturating adds two counts, neither below 0, and stops at the greatest int.
func addSaturating(a, b int) int {
	if b > math.MaxInt-a {
		return math.MaxInt
	}
	return a + b
}
