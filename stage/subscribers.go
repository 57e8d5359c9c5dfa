package stage

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/crash"
)

// subscribed accepts a subscription, or refuses it.
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
	slot := len(o.subs)
	if n := len(o.free); n > 0 {
		slot = o.free[n-1]
	}
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
	if o.wantsReceipts() || s.cfg.Redeliver {
		o.track(s)
	}
	o.changed = true
	if s.asked > 0 {
		o.disp.Ask(slot, s.asked)
	}
}

// accept asks the dispatcher. One that panics over a subscriber's options
// refuses that subscriber only.
func (o *outlet[T]) accept(slot int, s *Subscription[T]) (err error) {
	defer crash.Catch(&err)
	return o.disp.Subscribe(slot, dispatcher.SubscribeConfig{
		Consumer: s.down.stageID(), MaxDemand: s.info.MaxDemand,
		Partition: s.cfg.Partition, Selector: s.cfg.Selector,
	})
}

func (e *engine[In, Out]) asked(s *Subscription[Out], n, done int, spent *batch[Out], x any) {
	if !s.supply.placed() {
		if s.supply == supplyProposed {
			s.addAsked(n) // the subscription's mail has not arrived yet
		}
		return
	}
	s.recycle(spent)
	if s.scrub && !s.soiled && spent != nil {
		s.soiled = true
		e.out.soiled = append(e.out.soiled, s)
	}
	e.receive(s, done, x)
	if n > 0 && s.supply == supplyActive {
		s.addAsked(n)
		e.out.disp.Ask(s.slot, n)
		e.out.changed = true
	}
}

// receive takes the receipts that a mail brings.
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

// cancelled stops delivering to s and posts the end to its consumer.
func (e *engine[In, Out]) cancelled(s *Subscription[Out], reason error) {
	if s.supply != supplyActive {
		if s.supply == supplyProposed && s.early == nil {
			s.early = reason
		}
		return
	}
	s.down.postEnded(s, reason)
	e.deactivate(s, reason)
}

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

// left forgets s: its consumer handles no more events.
func (e *engine[In, Out]) left(s *Subscription[Out], done int, f farewell) {
	if !s.supply.placed() {
		return
	}
	e.receive(s, done, nil)
	e.out.giveUp(s, f)
	if f.lost && e.node.fragile.Load() {
		e.out.bereave()
	}
	if s.supply == supplyActive {
		e.deactivate(s, f.reason)
	}
	e.release(s)
}

func (e *engine[In, Out]) release(s *Subscription[Out]) {
	o := e.out
	o.subs[s.slot] = nil
	o.free = append(o.free, s.slot)
	s.supply = supplyGone
	s.spare, s.spareCount = nil, 0
	o.live--
	if s.tracked {
		o.tracking--
	}
	o.changed = true
}
