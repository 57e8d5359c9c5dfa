package stage

import "context"

// Flusher is a [DeferredConsumer] that gathers events, and is told when waiting
// for more would be in vain.
type Flusher interface {
	// HandleFlush runs when a subscription has ended while events that came on
	// it have no receipt yet.
	HandleFlush(ctx context.Context) error
}

// flush lets a handler finish what it has gathered.
func (e *engine[In, Out]) flush() {
	if h, ok := e.handler.(Flusher); ok {
		e.running = "HandleFlush"
		e.check(h.HandleFlush(e.ctx))
	}
}
