package stage

import "context"

// FlushHandler is a consumer or producer-consumer that gathers events, and is
// called when it must not wait for more.
type FlushHandler interface {
	// HandleFlush runs when nothing more can arrive, when a producer can send nothing
	// more before it has receipts, or when a draining stage has nothing to do: the
	// stages upstream might wait for an event that is kept back. For a
	// [DeliveryHandler] it also runs when a subscription with events without a receipt
	// has ended. A producer-consumer emits with the emitter of HandleEmitter.
	HandleFlush(ctx context.Context) error
}

// flush makes the handler pass on gathered events.
func (e *engine[In, Out]) flush() {
	e.gathering = false
	if f := e.do.flush; f != nil {
		e.running = "HandleFlush"
		e.check(f(e.ctx))
	}
}

// flushIdle flushes a stage that has nothing to do, and to which nothing can arrive or
// which drains, unless nothing has arrived since the last flush. It reports whether it has
// flushed.
func (e *engine[In, Out]) flushIdle() bool {
	if !e.draining && !e.ebbing || !e.gathering {
		return false
	}
	e.flush()
	return true
}
