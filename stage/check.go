package stage

import "context"

// check stops the stage if a handler has failed, and ends it in good order if the
// handler has returned ErrDone. A handler that returned because its context was
// cancelled has not failed: the stage ends for the reason of the cancellation.
func (e *engine[In, Out]) check(err error) {
	switch {
	case err == nil:
	case e.cancelledBy(err):
		e.stop(context.Cause(e.ctx))
	// Only ErrDone itself ends a stage in good order. A wrapped one is a failure:
	// something may have gone wrong around it.
	case err != ErrDone:
		e.fail(err)
	// With ErrDone a source is dry. Its events are delivered before it ends.
	case e.out != nil:
		e.reach(dry) // the emitted events are delivered first
	default:
		e.stop(nil)
	}
}

// fail stops the stage with a handler's error.
func (e *engine[In, Out]) fail(err error) {
	if !e.isOver() {
		// The farewells then name the events in hand as the possible cause.
		e.failed = true
		e.stop(&Error{Stage: e.name, Handler: e.running, Err: err})
	}
}

// stop makes the loop end with reason, nil for a normal end. The first reason counts. The
// call returns to the handler's caller: finish does the rest.
func (e *engine[In, Out]) stop(reason error) {
	if !e.isOver() {
		e.reach(over)
		e.reason = reason
	}
}
