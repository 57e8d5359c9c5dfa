package stage

// BusyHandler is a producer-consumer that works on events outside of its handlers, such as
// a pool of workers.
type BusyHandler interface {
	// HandleBusy reports whether the handler still works on events, so that it may
	// emit although nothing more arrives. The stage does not end before HandleBusy
	// has returned false: it is called when nothing more can arrive, after
	// HandleFlush, and again in each round after that. The handler wakes the stage
	// ([Handle.Wake]) when it has finished. HandleBusy is also called when a
	// producer waits for receipts. A stop, a failure, ErrDone and the end of the last
	// subscriber in a drain do not wait for it.
	HandleBusy() bool
}

// works reports whether the handler has something left to emit when nothing more can
// arrive. It flushes the handler before it is asked for the first time, and flushIdle does
// so again when something has happened since.
func (e *engine[In, Out]) works() bool {
	if e.do.busy == nil {
		return false
	}
	if first := !e.ebbing; first || e.gathering && !e.busyNow() {
		// What the work has left behind is passed on too, and may be work again.
		e.ebbing = true
		e.flush()
		e.again = true // what it has emitted is served
	}
	return e.isOver() || e.busyNow()
}

// busyNow calls HandleBusy.
func (e *engine[In, Out]) busyNow() bool {
	e.running = "HandleBusy"
	return e.do.busy()
}

// stirred notes that a handler has run which may have gathered something, although no
// event has arrived: only a handler that works outside of its handlers does.
func (e *engine[In, Out]) stirred() {
	if e.ebbing {
		e.gathering = true
	}
}
