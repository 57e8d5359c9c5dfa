package stage

import "time"

// awaitMail waits for mail. Nothing may be emitted meanwhile.
func (e *engine[In, Out]) awaitMail() {
	e.scrub() // a resting stage keeps no handled events alive
	if e.out == nil {
		// Without an output there is no dispatcher, and so no deadline of one.
		e.box.Wait(e.watchSources())
		return
	}
	em := &e.out.emit
	// While it is set, Emit wakes the stage, which then fails with ErrOutside.
	em.phase.Store(resting)
	e.box.Wait(soonest(soonest(e.patience(), e.watch()), e.watchSources()))
	if em.phase.Swap(handling) == misused || em.Len() > 0 || em.told() {
		e.running = "Emit"
		e.fail(ErrOutside)
	}
}

// idle reports whether there is nothing to do.
func (e *engine[In, Out]) idle(poked bool) bool {
	return len(e.mails) == 0 && !poked && !e.again
}

// patience is how long a stage that emits may wait for mail: until its dispatcher's
// next deadline or until losses or failures can be logged, or, if negative, without a bound.
func (e *engine[In, Out]) patience() time.Duration {
	d := time.Duration(-1)
	if o := e.out; o.losses.fresh {
		d = o.losses.due()
	}
	if e.in != nil {
		d = soonest(d, soonest(e.in.failures.due(), e.in.unowned.due()))
	}
	if e.out.timed == nil {
		return d
	}
	// The deadline is in nanoseconds of the outlet's clock.
	if at, ok := e.out.timed.Wake(); ok {
		if left := max(0, time.Duration(at-e.out.now())); d < 0 || left < d {
			return left
		}
	}
	return d
}

// soonest returns the shorter of two waits, of which a negative one has no limit.
func soonest(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
