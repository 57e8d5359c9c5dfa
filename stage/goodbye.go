package stage

import (
	"slices"

	"github.com/penstock-go/penstock/dispatcher"
)

// A subscription ends in steps: its producer sends the end (upstreamEnded), which waits
// for the events before it, then for the receipts of these (over), and the consumer says
// goodbye with its last receipts (goodbye, bye). The functions run on the consumer's
// goroutine.

// upstreamEnded takes the end of a subscription from its producer; nothing arrives on it
// any more. If batches are queued before it, the end waits for its turn. It leaves
// intakeEnded. A second end, as after Cancel, does nothing.
func (e *engine[In, Out]) upstreamEnded(s *Subscription[In], reason error) {
	if s.intake != intakeOpen {
		return
	}
	s.intake = intakeEnded
	if e.out != nil && e.in.queue.Len() > 0 {
		e.in.queue.Push(arrival[In]{sub: s, other: reason})
		return
	}
	e.over(s, reason)
}

// over ends a subscription once every event that came on it was finished: at once, or when
// farewell finds that the last receipt has been given. It does not wait if the stage fails
// with the subscription, or if its producer, which would take the receipts, has stopped.
func (e *engine[In, Out]) over(s *Subscription[In], reason error) {
	if s.deferred {
		s.reason = reason
		// ending is set before open is read: a Settle that brings open to 0 after that
		// sees ending and pokes the stage.
		s.ending.Store(true)
		if s.open.Load() > 0 {
			e.flush()
		}
		if e.isOver() || s.open.Load() > 0 {
			return // Settle pokes the stage when the last one is finished
		}
	}
	if s.inputs > 0 && !e.endsWith(s, reason) && !s.up.refuses() {
		s.reason, s.intake = reason, intakeWaiting
		e.in.waiting++
		e.in.done = e.in.done || reason == ErrDone && s.cfg.Cancel == Permanent
		return
	}
	e.goodbye(s, reason)
}

// endsWith reports whether the cancel mode of a subscription that ends with reason makes
// the stage fail. A replaced subscription, one refused as a duplicate and one that ended
// in good order never do.
func (e *engine[In, Out]) endsWith(s *Subscription[In], reason error) bool {
	switch {
	case s.replaced.Load(), reason == dispatcher.ErrSubscribed, reason == ErrDone:
		return false
	}
	return s.cfg.Cancel == Permanent || s.cfg.Cancel == Transient && !Normal(reason)
}

// farewell ends the subscriptions that were only waiting for receipts. goodbye removes
// each from subs, hence i--.
func (e *engine[In, Out]) farewell() {
	for i := 0; i < len(e.in.subs); i++ {
		s := e.in.subs[i]
		if s.deferred && s.ending.Load() && s.open.Load() == 0 || s.intake == intakeWaiting && s.inputs == 0 {
			e.goodbye(s, s.reason)
			i--
		}
		if e.isOver() {
			return
		}
	}
}

// sendPending sends the receipts for inputs that were finished in this round.
func (e *engine[In, Out]) sendPending() {
	for _, s := range e.in.subs {
		if s.pending != nil {
			s.up.postAsk(s, 0, 0, nil, s.takePending())
		}
	}
}

// goodbye ends a subscription, with HandleCancel, and applies its cancel mode. Until
// HandleCancel has returned it is among those that a stage which panics takes leave of, so
// that its producer hears of the end in any case.
func (e *engine[In, Out]) goodbye(s *Subscription[In], reason error) {
	if f := e.do.Cancel; f != nil {
		e.running = "HandleCancel"
		e.check(f(e.ctx, s.info.seenBy(consuming), reason))
	}
	e.in.subs = slices.DeleteFunc(e.in.subs, func(other *Subscription[In]) bool { return other == s })
	e.in.live--
	if s.stalled {
		e.flows(s)
	}
	// bye leaves intakeOver, so the count is corrected before.
	if s.intake == intakeWaiting {
		e.in.waiting--
	}
	e.bye(s, reason)
	switch {
	case e.endsWith(s, reason):
		e.stop(&SubscriptionError{Stage: e.name, Producer: s.info.Producer, Reason: reason})
	case reason == ErrDone && !s.replaced.Load():
		e.in.done = e.in.done || s.cfg.Cancel == Permanent
	}
}

// bye sends the last receipts of a subscription and ends it on both sides, leaving
// intakeOver. The receipts go first: the farewell closes the account of the rest.
func (e *engine[In, Out]) bye(s *Subscription[In], reason error) {
	if s.pending != nil {
		s.up.postAsk(s, 0, 0, nil, s.takePending())
	}
	if s.inHand > 0 && e.do.progress != nil {
		e.advance(s, e.do.progress())
	}
	f := s.farewell(reason, e.failed)
	f.lost = e.lostWith()
	if !s.up.postBye(s, s.handled, f) {
		// The producer has stopped, and its account is closed. Inputs that are held may
		// still be emitted; countHeld counts the others.
		s.bereft = true
		e.in.unhandled += int64(s.arrived - f.handled)
	}
	s.handled = 0
	s.finish(reason)
}

// advance notes that n of the events in the handler's hands were handled. If it has
// failed, it has done so over the next one, which alone stays in hand.
func (e *engine[In, Out]) advance(s *Subscription[In], n int) {
	n = max(0, min(n, s.inHand))
	e.in.handled += int64(n)
	s.total += n
	s.handled += n
	s.inHand = min(s.inHand-n, 1)
}

// leaveAll ends every subscription of a consumer that stops.
func (e *engine[In, Out]) leaveAll(reason error) {
	for _, s := range e.in.subs {
		e.bye(s, reason)
	}
	e.in.subs = nil
	e.in.live = 0
}

// lostWith returns the stages whose failure ends this one: itself, or those that follow it.
func (e *engine[In, Out]) lostWith() (lost []*node) {
	switch {
	case !e.isOver():
	case !Normal(e.reason):
		lost = append(lost, &e.node)
	case e.out != nil:
		for of := range e.out.bereft {
			lost = append(lost, of)
		}
	}
	return lost
}
