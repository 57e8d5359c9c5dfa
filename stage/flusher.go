package stage

import "context"

// FlushHandler is a [DeliveryHandler] that gathers events, and is told when waiting
// for more would be in vain.
type FlushHandler interface {
	// HandleFlush runs when a subscription has ended while events that came on
	// it have no receipt yet.
	HandleFlush(ctx context.Context) error
}

// flush lets a handler finish what it has gathered.
func (e *engine[In, Out]) flush() {
	if h, ok := e.handler.(FlushHandler); ok {
		e.running = "HandleFlush"
		e.check(h.HandleFlush(e.ctx))
	}
}
