package stage

import (
	"runtime/debug"

	"github.com/penstock-go/penstock/dispatcher"
)

// passes is how often the handler is asked before the stage looks at its mail
// again. More than one is needed only where events are discarded rather than
// delivered, which leaves the demand as it was.
const passes = 16

// produce serves what is there, then asks the handler for the rest, until
// neither changes anything.
func (e *engine[In, Out]) produce() {
	o := e.out
	for pass := 0; !e.end; pass++ {
		e.running = "Dispatch"
		o.serve()
		e.reportReceipts()
		for i := 0; i < len(o.rejects); i++ {
			e.cancelled(o.rejects[i].sub, o.rejects[i].reason)
		}
		o.rejects = o.rejects[:0]
		if o.fault != nil {
			e.stop(o.fault)
			return
		}
		if o.pins.Len() > 0 {
			if e.unpin(); o.emit.Len() > 0 {
				continue
			}
		}
		if e.prod == nil || e.dry || e.end {
			return
		}
		if pass == passes {
			e.again = true
			return
		}
		n := o.want()
		if n == 0 {
			return
		}
		o.told += n
		e.running = "HandleDemand"
		e.check(e.prod.HandleDemand(e.ctx, n, &o.emit))
		if o.emit.Len() == 0 {
			return
		}
	}
}

func (e *engine[In, Out]) reportReceipts() {
	o := e.out
	if len(o.receipts) == 0 {
		return
	}
	if h, ok := e.handler.(ReceiptHandler); ok {
		e.running = "HandleReceipts"
		e.check(h.HandleReceipts(e.ctx, o.receipts))
	}
	o.receipts = o.receipts[:0]
}

// subscribed accepts a subscription, or refuses it.
func (e *engine[In, Out]) subscribed(s *Subscription[Out]) {
	o := e.out
	refuse := func(reason error) {
		s.gone = true
		s.down.postEnded(s, reason)
	}
	if s.early != nil {
		refuse(s.early)
		return
	}
	if e.ending || e.draining {
		refuse(ErrDone)
		return
	}
	if h, ok := e.handler.(SubscribeHandler); ok {
		e.running = "HandleSubscribe"
		if err := h.HandleSubscribe(e.ctx, s.info.seenBy(producing)); err != nil {
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
	s.slot, s.active = slot, true
	o.live++
	if s.tracked {
		o.tracking++
	}
	o.changed = true
	if s.asked > 0 {
		o.disp.Ask(slot, s.asked)
	}
}

// accept asks the dispatcher. One that panics over a subscriber's options
// refuses that subscriber only.
func (o *outlet[T]) accept(slot int, s *Subscription[T]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return o.disp.Subscribe(slot, dispatcher.SubscribeOptions{
		Consumer: s.down.stageID(), MaxDemand: s.info.MaxDemand,
		Partition: s.cfg.Partition, Selector: s.cfg.Selector,
	})
}

func (e *engine[In, Out]) asked(s *Subscription[Out], n, done int, spent *batch[Out], x any) {
	if s.slot < 0 {
		if !s.gone {
			s.addAsked(n) // the consumer's own word of the subscription is still on its way
		}
		return
	}
	s.recycle(spent)
	e.receive(s, done, x)
	if n > 0 && s.active {
		s.addAsked(n)
		e.out.disp.Ask(s.slot, n)
		e.out.changed = true
	}
}

// receive takes the receipts that a mail brings.
func (e *engine[In, Out]) receive(s *Subscription[Out], done int, x any) {
	if done > 0 && s.tracked {
		e.out.handled(s, done)
	}
	if list, ok := x.(*settled); ok {
		e.out.settle(s, list.list)
		clear(list.list)
		settledPool.Put(list)
	}
}

// cancelled stops delivering to s and tells its consumer so.
func (e *engine[In, Out]) cancelled(s *Subscription[Out], reason error) {
	if !s.active {
		if s.slot < 0 && !s.gone && s.early == nil {
			s.early = reason
		}
		return
	}
	s.down.postEnded(s, reason)
	e.deactivate(s, reason)
}

func (e *engine[In, Out]) deactivate(s *Subscription[Out], reason error) {
	s.active = false
	s.asked = 0
	e.out.disp.Cancel(s.slot)
	e.out.changed = true
	if h, ok := e.handler.(CancelHandler); ok {
		e.running = "HandleCancel"
		e.check(h.HandleCancel(e.ctx, s.info.seenBy(producing), reason))
	}
}

// left forgets s: its consumer has handled all it is going to handle, total
// events since the start.
func (e *engine[In, Out]) left(s *Subscription[Out], total, done int, reason error) {
	if s.slot < 0 {
		return
	}
	e.receive(s, done, nil)
	e.out.giveUp(s, total)
	if s.active {
		e.deactivate(s, reason)
	}
	e.release(s)
}

func (e *engine[In, Out]) release(s *Subscription[Out]) {
	o := e.out
	o.subs[s.slot] = nil
	o.free = append(o.free, s.slot)
	s.slot, s.gone = -1, true
	s.spare, s.spareCount = nil, 0
	o.live--
	if s.tracked {
		o.tracking--
	}
	o.changed = true
}

// drain begins the orderly end.
func (e *engine[In, Out]) drain() {
	if e.draining {
		return
	}
	e.draining = true
	if e.out != nil {
		e.out.paused, e.out.changed = false, true
	}
	if e.prod == nil || e.dry {
		return
	}
	d, ok := e.handler.(Drainer)
	if !ok {
		e.dry = true
		return
	}
	e.running = "HandleDrain"
	e.check(d.HandleDrain(e.ctx))
}

// complete ends a stage that has nothing left to do.
func (e *engine[In, Out]) complete() {
	if e.end {
		return
	}
	if e.in != nil && (e.draining || e.in.done) && e.in.live == 0 && e.in.queue.Len() == 0 {
		if e.out == nil {
			e.stop(nil)
			return
		}
		e.dry = true
	}
	if e.out == nil {
		return
	}
	if e.draining && e.out.live == 0 {
		e.stop(nil) // nobody is left to deliver to, and nobody will come
		return
	}
	if e.draining && e.out.held() > 0 {
		e.out.abandonOrphans()
		if e.out.changed && e.out.buf.len() > 0 {
			e.again = true // what was behind them can be served
		}
	}
	if !e.dry || e.out.held() > 0 || e.out.mayReturn() || e.out.pins.Len() > 0 {
		return
	}
	if !e.ending {
		e.ending = true
		for _, s := range e.out.subs {
			if s != nil && s.active {
				s.active = false
				e.out.disp.Cancel(s.slot)
				s.down.postEnded(s, ErrDone)
			}
		}
	}
	if e.out.live == 0 {
		e.stop(nil)
	}
}

// endAll tells every subscriber that this stage is gone, and discards what it
// still had.
func (e *engine[In, Out]) endAll(reason error) {
	o := e.out
	o.copyWhole()
	o.flush()
	for _, s := range o.subs {
		if s == nil {
			continue
		}
		if s.active {
			s.down.postEnded(s, reason)
		}
		s.slot, s.gone, s.active = -1, true, false
	}
	// A source that wants receipts gets none for these: they are not done.
	o.silent = true
	for o.buf.len() > 0 {
		run, first := o.buf.front()
		for i, event := range run {
			o.Discard(event, first+uint64(i), dispatcher.Stopped)
		}
		o.buf.drop(len(run))
	}
	for _, event := range o.emit.buf {
		o.emitted++
		o.Discard(event, o.nextSeq, dispatcher.Stopped)
	}
	o.emit.buf = nil
	if o.holder != nil {
		o.holder.DiscardHeld(o, dispatcher.Stopped)
	}
}
