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
// DemandDispatcher; the cost of a step is O(1) in the number of subscriptions,
// or O(log n) if their demand is 1,024 or more, rather than O(n).
type Demand[T any] struct {
	order demandOrder
	total int

	saturated bool // total may be less than the sum, and is counted again later
}

// NewDemand returns a dispatcher without subscriptions.
func NewDemand[T any]() *Demand[T] {
	d := new(Demand[T])
	d.order.init()
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
	d.order.add(sub)
	return nil
}

// Ask implements Dispatcher.
func (d *Demand[T]) Ask(sub, n int) {
	s := &d.order.subs[sub]
	before := s.outstanding
	s.outstanding = addSaturating(before, n)
	d.total = addSaturating(d.total, s.outstanding-before)
	d.saturated = d.saturated || d.total == math.MaxInt
	d.order.requeue(sub)
}

// Cancel implements Dispatcher.
func (d *Demand[T]) Cancel(sub int) {
	s := &d.order.subs[sub]
	d.total -= s.outstanding
	s.outstanding = 0
	d.order.requeue(sub)
	d.recount()
}

// Demand implements Dispatcher: the sum of the open demand.
func (d *Demand[T]) Demand() int { return d.total }

// Dispatch implements Dispatcher.
func (d *Demand[T]) Dispatch(offer Offer[T], out Out[T]) int {
	taken := 0
	for taken < len(offer.Events) {
		sub := d.order.first()
		if sub == none {
			break
		}
		s := &d.order.subs[sub]
		n := min(len(offer.Events)-taken, s.outstanding)
		s.outstanding -= n
		d.total -= n
		d.order.requeue(sub)
		out.Give(sub, taken, taken+n)
		taken += n
	}
	d.recount()
	return taken
}

// GiveWhole is a Dispatch of n events, 1 or more, for a stage that hands them over itself. If
// Dispatch would give all of them to one subscription, GiveWhole takes them off its demand
// and returns it; otherwise it changes nothing and returns -1.
func (d *Demand[T]) GiveWhole(n int) (sub int) {
	sub = d.order.first()
	if sub == none {
		return none
	}
	s := &d.order.subs[sub]
	if s.outstanding < n {
		return none
	}
	s.outstanding -= n
	d.total -= n
	d.order.requeue(sub)
	d.recount()
	return sub
}

// recount computes the sum again after it had saturated.
func (d *Demand[T]) recount() {
	if !d.saturated {
		return
	}
	d.total = 0
	for i := range d.order.subs {
		d.total = addSaturating(d.total, d.order.subs[i].outstanding)
	}
	d.saturated = d.total == math.MaxInt
}

// addSaturating adds two counts, neither below 0, and stops at the greatest int.
func addSaturating(a, b int) int {
	if b > math.MaxInt-a {
		return math.MaxInt
	}
	return a + b
}
