package dispatcher

import (
	"math"

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
	subs  []demandSub // by subscription
	heap  []int32     // subscriptions with demand, the first in turn on top
	total int
	turn  uint64

	saturated bool // total may be less than the sum, and is counted again later
}

type demandSub struct {
	outstanding int
	turn        uint64 // when its demand last changed
	at          int32  // place in the heap, -1 if not there
}

// NewDemand returns a dispatcher without subscriptions.
func NewDemand[T any]() *Demand[T] { return new(Demand[T]) }

// Subscribe implements Dispatcher. It refuses the options of other dispatchers
// with an *OptionError.
func (d *Demand[T]) Subscribe(sub int, opts SubscribeOptions) error {
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
		sub := int(d.heap[0])
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

// requeue moves sub after the subscriptions with equal demand.
func (d *Demand[T]) requeue(sub int) {
	s := &d.subs[sub]
	d.turn++
	s.turn = d.turn
	switch {
	case s.at < 0 && s.outstanding > 0:
		s.at = int32(len(d.heap))
		d.heap = append(d.heap, int32(sub))
		d.up(int(s.at))
	case s.at >= 0 && s.outstanding == 0:
		at, last := int(s.at), len(d.heap)-1
		d.swap(at, last)
		d.heap = d.heap[:last]
		s.at = -1
		if at < last {
			d.down(at)
			d.up(at)
		}
	case s.at >= 0:
		d.down(int(s.at))
		d.up(int(s.at))
	}
}

func (d *Demand[T]) before(i, j int) bool {
	a, b := &d.subs[d.heap[i]], &d.subs[d.heap[j]]
	if a.outstanding != b.outstanding {
		return a.outstanding > b.outstanding
	}
	return a.turn < b.turn
}

func (d *Demand[T]) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.subs[d.heap[i]].at = int32(i)
	d.subs[d.heap[j]].at = int32(j)
}

func (d *Demand[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !d.before(i, parent) {
			return
		}
		d.swap(i, parent)
		i = parent
	}
}

func (d *Demand[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(d.heap) {
			return
		}
		if right := child + 1; right < len(d.heap) && d.before(right, child) {
			child = right
		}
		if !d.before(child, i) {
			return
		}
		d.swap(i, child)
		i = child
	}
}

func addSaturating(a, b int) int {
	if b > math.MaxInt-a {
		return math.MaxInt
	}
	return a + b
}
