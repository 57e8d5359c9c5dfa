package stage

import "context"

// FlushHandler is a consumer or producer-consumer that gathers events, and is
// told when it should not wait for more.
type FlushHandler interface {
	// HandleFlush runs when nothing more can arrive, or when nothing arrives any
	// more at a stage that drains: an event that is kept back might be what the
	// stages before it wait for. A [DeliveryHandler] is also told when a
	// subscription has ended that has events without a receipt. A
	// producer-consumer emits with the emitter of HandleEmitter.
	HandleFlush(ctx context.Context) error
}

// flush has the handler hand on what it has gathered.
func (e *engine[In, Out]) flush() {
	e.gathering = false
	if f := e.do.flush; f != nil {
		e.running = "HandleFlush"
		e.check(f(e.ctx))
	}
}

// flushIdle flushes a stage that drains and has nothing to do, unless nothing has
// arrived since it was flushed. It reports whether it has.
func (e *engine[In, Out]) flushIdle() bool {
	if !e.draining || !e.gathering {
		return false
	}
	e.flush()
	return true
}
