package stage

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/crash"
)

// subscribed accepts a subscription, or refuses it. It expects the phase supplyProposed
// and leaves supplyActive or supplyGone. Demand and a cancellation that arrived before are
// taken into account.
func (e *engine[In, Out]) subscribed(s *Subscription[Out]) {
	o := e.out
	refuse := func(reason error) {
		s.supply = supplyGone
		s.down.postEnded(s, reason)
	}
	if s.early != nil {
		refuse(s.early)
		return
	}
	// The stage ends: a new subscriber would miss what the others have got, and wait for
	// nothing.
	if e.progress >= closing || e.draining {
		refuse(ErrDone)
		return
	}
	if f := e.do.Subscribe; f != nil {
		e.running = "HandleSubscribe"
		if err := f(e.ctx, s.info.seenBy(producing)); err != nil {
			refuse(err)
			return
		}
	}
	// Slots are used again, so that a dispatcher can keep its state in a slice. The slot
	// is taken only once nothing can refuse the subscription any more.
	slot := len(o.subs)
	if n := len(o.free); n > 0 {
		slot = o.free[n-1]
	}
	// The handler has accepted already: HandleCancel is not called for a subscription that
	// the dispatcher refuses.
	if err := o.accept(slot, s); err != nil {
		refuse(err)
		return
	}
	if slot == len(o.subs) {
		o.subs = append(o.subs, s)
	} else {
		o.free = o.free[:len(o.free)-1]
		o.subs[slot] = s
	}
	s.slot, s.supply = slot, supplyActive
	o.live++
	if s.gathers {
		o.gatherers++
	}
	if o.wantsReceipts() || s.cfg.Redeliver {
		o.track(s)
	}
	o.changed = true
	if s.asked > 0 {
		o.disp.Ask(slot, s.asked)
	}
}

// accept asks the dispatcher whether it takes a subscriber in slot. A dispatcher that
// panics over a subscriber's options refuses that subscriber only.
func (o *outlet[T]) accept(slot int, s *Subscription[T]) (err error) {
	defer crash.Catch(&err)
	return o.disp.Subscribe(slot, dispatcher.SubscribeConfig{
		Consumer: s.down.stageID(), MaxDemand: s.maxDemand,
		Partition: s.cfg.Partition, Selector: s.cfg.Selector,
	})
}

// asked takes demand, receipts and emptied batches from the consumer of s. A subscription
// that was cancelled still gives receipts, but its demand no longer counts.
func (e *engine[In, Out]) asked(s *Subscription[Out], n, done int, spent *batch[Out], x any) {
	if !s.supply.placed() {
		if s.supply == supplyProposed {
			s.addAsked(n) // the subscription's mail has not arrived yet
		}
		return
	}
	// The batches are empty, but their arrays hold handled events until they are scrubbed.
	s.recycle(spent)
	if s.scrub && !s.soiled && spent != nil {
		s.soiled = true
		e.out.soiled = append(e.out.soiled, s)
	}
	e.receive(s, done, x)
	if s.withdrawn.Load() != nil && s.flights.open == 0 {
		s.withdrawn.Store(nil)
	}
	if n > 0 && s.supply == supplyActive {
		s.addAsked(n)
		e.out.disp.Ask(s.slot, n)
		e.out.changed = true
	}
}

// receive takes the receipts that a mail brings: done in order, and those of x, if it is a
// *settled, by position. The lists return to their pool.
func (e *engine[In, Out]) receive(s *Subscription[Out], done int, x any) {
	if done > 0 {
		e.out.handled(s, done)
	}
	if list, ok := x.(*settled); ok {
		e.out.settle(s, list.list)
		e.out.settleRuns(s, list.runs)
		clear(list.list)
		list.list, list.runs = list.list[:0], list.runs[:0]
		settledPool.Put(list)
	}
}

// cancelled stops delivering to s and posts the end to its consumer. The slot stays taken
// until the consumer has said goodbye, since receipts for events in flight still come.
func (e *engine[In, Out]) cancelled(s *Subscription[Out], reason error) {
	if s.supply != supplyActive {
		if s.supply == supplyProposed && s.early == nil {
			// The subscription's own mail is still on its way; subscribed refuses it then.
			s.early = reason
		}
		return
	}
	s.down.postEnded(s, reason)
	e.deactivate(s, reason)
}

// deactivate moves s from supplyActive to supplyLeaving. The dispatcher gives it nothing
// more and may pass what it held for s to others.
func (e *engine[In, Out]) deactivate(s *Subscription[Out], reason error) {
	s.supply = supplyLeaving
	s.asked = 0
	e.out.disp.Cancel(s.slot)
	e.out.changed = true
	if f := e.do.Cancel; f != nil {
		e.running = "HandleCancel"
		e.check(f(e.ctx, s.info.seenBy(producing), reason))
	}
}

// left takes the farewell of a consumer, which handles no more events. Deliveries without
// a receipt are given up, and the slot becomes free.
func (e *engine[In, Out]) left(s *Subscription[Out], done int, f farewell) {
	if !s.supply.placed() {
		return
	}
	e.receive(s, done, nil)
	e.out.giveUp(s, f)
	// The order matters: what s had is abandoned first, then what the others still get of
	// the copies.
	if e.node.fragile.Load() {
		for _, of := range f.lost {
			e.out.bereave(of)
		}
	}
	if s.supply == supplyActive {
		e.deactivate(s, f.reason)
	}
	e.release(s)
}

// release frees the slot of s, which is supplyGone afterwards. Its batches are dropped:
// another subscription has its own.
func (e *engine[In, Out]) release(s *Subscription[Out]) {
	o := e.out
	o.subs[s.slot] = nil
	// The dispatcher was told with Cancel before, so that it expects another in the slot.
	o.free = append(o.free, s.slot)
	s.supply = supplyGone
	s.spare, s.spareCount = nil, 0
	o.live--
	if s.gathers {
		o.gatherers--
	}
	if s.tracked {
		o.tracking--
	}
	o.changed = true
}
