package stage

import "runtime/debug"

// finish runs at the end of the stage's goroutine, for any reason. Its steps are
// deferred, so that a handler that panics or exits in one of them does not prevent
// the others.
func (e *engine[In, Out]) finish(panicked any, clean bool) {
	if panicked != nil || !clean {
		e.end, e.reason = true, e.crash(panicked)
	}
	failure := e.reason
	if Normal(failure) {
		failure = nil
	}
	if e.reason != nil {
		e.cancel(e.reason)
	}
	defer func() {
		e.cancel(ErrStopped)
		e.err = failure
		e.last.Name, e.last.Kind, e.last.Phase = e.name, e.kindOf(), PhaseStopped
		if failure != nil {
			e.last.Error = failure.Error()
		}
		if e.occupies {
			vacate(e.handler)
		}
		close(e.stopped)
		if !e.up {
			close(e.ready)
		}
	}()
	guard := func(step func()) {
		clean := false
		defer func() {
			if p := recover(); (p != nil || !clean) && failure == nil {
				failure = e.crash(p)
			}
		}()
		step()
		clean = true
	}
	defer guard(func() {
		if e.in != nil && e.in.unhandled > 0 {
			e.log.Warn("events were not handled", "stage", e.name, "events", e.in.unhandled)
		}
		e.last = e.snapshot()
	})
	terminate := func() {
		if f := e.do.Terminate; f != nil && e.greeted {
			e.running = "HandleTerminate"
			if err := f(e.ctx, failure); err != nil && failure == nil {
				failure = &Error{Stage: e.name, Handler: e.running, Err: err}
			}
		}
	}
	// From here on posts are refused, and a refused sender may read e.reason.
	rest := e.box.Close()
	if e.out != nil {
		defer guard(func() { e.out.settleAccount() })
		if e.in == nil {
			defer guard(terminate)
		}
		end := func() {
			e.endAll(e.why())
			if err := e.out.emission.err; err != nil && failure == nil {
				failure = err
			}
		}
		// A callback that ends the goroutine interrupts the first.
		defer guard(end)
		defer guard(end)
	}
	if e.in != nil {
		// Workers end in HandleTerminate, and their receipts go before the
		// farewell.
		defer guard(func() { e.leaveAll(e.why()) })
		defer guard(terminate)
	}
	if e.out != nil {
		defer guard(func() { e.reportReceipts() })
	}
	// Look once more at what was posted until now, so that no sender waits for a
	// reply and no receipt that came in time is lost.
	late := [2][]mail[In, Out]{e.mails[e.at:], rest}
	for _, mails := range late {
		e.refuse(mails)
	}
	for _, mails := range late {
		for i := range mails {
			guard(func() { e.takeLate(&mails[i]) })
		}
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
		case m.kind == mailSubscribe && m.down.slot < 0 && !m.down.gone:
			m.down.gone = true
			m.down.down.postEnded(m.down, e.why())
		case m.kind == mailJoin && !e.in.has(m.up):
			m.up.finish(e.why())
		}
	}
}

// takeLate takes the parts that still matter of a mail that came too late.
func (e *engine[In, Out]) takeLate(m *mail[In, Out]) {
	switch m.kind {
	case mailEvents:
		m.up.arrived += len(m.batch.events)
	case mailAsk:
		if m.down.slot >= 0 {
			e.receive(m.down, int(m.done), m.x)
		}
	case mailBye:
		if m.down.slot >= 0 {
			e.receive(m.down, int(m.done), nil)
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
