package stage

import (
	"errors"
	"runtime/debug"
)

// finish runs at the end of the stage's goroutine, for any reason: panicked is what a
// handler has panicked with, and clean is false if a handler has ended the goroutine. For
// a stage that never ran it is called by neverRun, on the caller's goroutine.
func (e *engine[In, Out]) finish(panicked any, clean bool) {
	// A handler that ends the goroutine leaves no panic, and does not return either.
	if panicked != nil || !clean {
		e.reach(over)
		e.reason = e.crash(panicked)
	}
	e.timers.stop()
	l := &lastSteps[In, Out]{engine: e}
	if !Normal(e.reason) {
		// Err returns it. A normal reason, such as ErrDone, is no failure.
		l.failure = e.reason
	}
	if e.reason != nil {
		e.cancel(e.reason)
	}
	// From here on posts are refused, and a refused sender may read e.reason.
	// Closing returns what was posted and not taken, so that no mail is lost between the
	// two.
	l.rest = e.box.Close()
	l.inTurn(
		l.takeRest,
		l.reportLast,
		l.terminateTaker, // workers end in HandleTerminate, and their receipts go before the farewell
		l.leave,
		l.endOutput,
		l.endOutput, // a callback that ends the goroutine interrupts the first
		l.terminateSource,
		l.settle,
		l.forget,
		l.look,
		l.conclude,
	)
}

// lastSteps are the steps in which a stage ends, and what they share. failure is what Err
// will return: nil for a normal end.
type lastSteps[In, Out any] struct {
	*engine[In, Out]
	rest    []mail[In, Out] // what was posted and not taken
	failure error
}

// inTurn runs steps one after the other, each even if a handler has panicked or ended the
// goroutine in the one before. Goexit runs deferred calls only, so the later steps are
// deferred.
func (l *lastSteps[In, Out]) inTurn(steps ...func()) {
	if len(steps) == 0 {
		return
	}
	defer l.inTurn(steps[1:]...)
	l.guard(steps[0])
}

// guard runs a step in which a handler may panic or end the goroutine, which is
// the stage's failure if it has none.
func (l *lastSteps[In, Out]) guard(step func()) {
	clean := false
	defer func() {
		if p := recover(); (p != nil || !clean) && l.failure == nil {
			l.failure = l.crash(p)
		}
	}()
	step()
	clean = true
}

// takeRest looks once more at what was posted until now, so that no sender waits
// for a reply and no receipt that came in time is lost.
func (l *lastSteps[In, Out]) takeRest() {
	late := [2][]mail[In, Out]{l.mails[l.at:], l.rest}
	for _, mails := range late {
		l.refuse(mails)
	}
	for _, mails := range late {
		for i := range mails {
			l.guard(func() { l.takeLate(&mails[i]) })
		}
	}
}

// reportLast gives the source the receipts of the last round.
func (l *lastSteps[In, Out]) reportLast() {
	if l.out != nil {
		l.reportReceipts()
	}
}

// terminateTaker calls HandleTerminate of a stage that consumes, while its receipts can
// still be sent.
func (l *lastSteps[In, Out]) terminateTaker() {
	if l.in != nil {
		l.terminate()
	}
}

// terminateSource calls HandleTerminate of a producer, after its subscribers have been
// sent the end.
func (l *lastSteps[In, Out]) terminateSource() {
	if l.in == nil {
		l.terminate()
	}
}

// terminate calls HandleTerminate, unless HandleStart was never reached.
func (l *lastSteps[In, Out]) terminate() {
	f := l.do.Terminate
	if f == nil || l.start < greeted {
		return
	}
	l.running = "HandleTerminate"
	err := f(l.ctx, l.failure)
	switch {
	case err == nil:
	case l.failure == nil:
		l.failure = &Error{Stage: l.name, Handler: l.running, Err: err}
	case errors.Is(err, ErrHung):
		// Goroutines that are left behind are reported besides any other failure.
		l.failure = errors.Join(l.failure, &Error{Stage: l.name, Handler: l.running, Err: err})
	}
}

// leave says goodbye to the producers. Receipts that come later find no subscription.
func (l *lastSteps[In, Out]) leave() {
	if l.in != nil {
		l.leaveAll(l.why())
	}
}

// endOutput sends the subscribers the end and discards what is left. It can be called
// again after it was interrupted.
func (l *lastSteps[In, Out]) endOutput() {
	if l.out == nil {
		return
	}
	l.endAll(l.why())
	if err := l.out.emission.err; err != nil && l.failure == nil {
		l.failure = err
	}
}

// settle closes the account of the emitted events.
func (l *lastSteps[In, Out]) settle() {
	if l.out != nil {
		l.out.settleAccount()
	}
}

// forget ends the subscriptions at the dispatcher too, so that the last snapshot lists
// nothing that does not exist any more. The stage has failed already if Cancel panics.
func (l *lastSteps[In, Out]) forget() {
	if l.out == nil {
		return
	}
	o := l.out
	for slot, s := range o.subs {
		if s != nil {
			o.subs[slot] = nil
			l.guard(func() { o.disp.Cancel(slot) })
		}
	}
	o.told = 0
}

// look takes the last snapshot. A stage that has stopped has no demand, whatever room its
// dispatcher has.
func (l *lastSteps[In, Out]) look() {
	l.logTallies(true)
	if l.in != nil {
		l.countHeld()
	}
	if l.in != nil && l.in.unhandled > 0 {
		l.log.Warn("events were not handled", "stage", l.name, "events", l.in.unhandled)
	}
	if l.out != nil {
		l.out.logLosses(true)
		if n := l.out.pins.Len(); n > 0 {
			l.log.Warn("messages of SendBehind dropped: the events before them were not delivered", "stage", l.name, "messages", n)
		}
	}
	l.last = l.snapshot()
	l.last.Demand = 0
}

// conclude publishes the end. The error and the last snapshot are written before stopped
// is closed, since others read them without a lock after that. The handler is released
// first: another stage may be started with it as soon as the end is seen.
func (l *lastSteps[In, Out]) conclude() {
	l.cancel(ErrStopped)
	l.err = l.failure
	l.last.Name, l.last.Kind, l.last.Phase = l.name, l.kindOf(), PhaseStopped
	if l.failure != nil {
		l.last.Error = l.failure.Error()
	}
	// launch has occupied the handler; a stage that never ran has not.
	if l.start >= occupying {
		l.vacate()
	}
	close(l.stopped)
	if l.start < ready {
		close(l.ready)
	}
}

// crash returns the error for a handler that panicked, or exited if panicked is
// nil.
func (e *engine[In, Out]) crash(panicked any) error {
	e.failed = true
	stack := debug.Stack()
	if panicked == nil {
		return &Error{Stage: e.name, Handler: e.running, Err: ErrGoexit, Stack: stack}
	}
	return &Error{Stage: e.name, Handler: e.running, Err: &PanicError{Value: panicked, Stack: stack}, Stack: stack}
}

// refuse replies to mail that came too late.
func (e *engine[In, Out]) refuse(mails []mail[In, Out]) {
	for i := range mails {
		switch m := &mails[i]; {
		case m.kind == mailSubscribe && m.down.supply == supplyProposed:
			m.down.supply = supplyGone
			m.down.down.postEnded(m.down, e.why())
		case m.kind == mailJoin && !e.in.has(m.up):
			m.up.finish(e.why())
		}
	}
}

// takeLate takes the parts that still matter of a mail that came too late.
func (e *engine[In, Out]) takeLate(m *mail[In, Out]) {
	switch m.kind {
	// The events are not handled. They count as arrived, so that their number is reported.
	case mailEvents:
		m.up.arrived += len(m.batch.events)
	case mailAsk:
		if m.down.supply.placed() {
			e.receive(m.down, int(m.done), m.x)
		}
	case mailBye:
		if m.down.supply.placed() {
			e.receive(m.down, int(m.done), nil)
			// The slot is not released: endOutput ends all of them.
			e.out.giveUp(m.down, m.x.(farewell))
		}
	case mailDo:
		e.running = "Do"
		m.x.(func())()
	}
}

// why returns the reason for which the stage ended. Other goroutines may call it
// once a post was refused.
func (e *engine[In, Out]) why() error {
	if e.reason == nil {
		return ErrDone
	}
	return e.reason
}
