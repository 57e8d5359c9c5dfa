package stage

import (
	"context"
	"errors"
)

// Normal reports whether reason is the expected end of a stage or subscription
// rather than a failure: nil, exactly ErrDone or ErrStopped, the end of the
// context of Start, or a [SubscriptionError] whose own reason is normal. An error
// that only wraps one of those is a failure: its handler has failed with the error
// of another stage.
func Normal(reason error) bool {
	switch r := reason.(type) {
	case nil, *stopError:
		return true
	case *SubscriptionError:
		return Normal(r.Reason)
	}
	return reason == ErrDone || reason == ErrStopped
}

// stopError is ErrStopped with the cause of the stop. Only the package makes it, so
// it differs from a handler's error that wraps ErrStopped.
type stopError struct{ cause error }

// Error implements error.
func (e *stopError) Error() string { return ErrStopped.Error() + ": " + e.cause.Error() }

// Unwrap returns ErrStopped and the cause.
func (e *stopError) Unwrap() []error { return []error{ErrStopped, e.cause} }

// errSibling stops the stages of a pipeline of which one has not started.
var errSibling = errors.New("another stage did not start")

// cancelledBy reports whether a handler has returned err because the stage's
// context was cancelled. An error with another text than the cancellation's is
// logged, since the stage ends for the reason for which it was cancelled.
func (e *engine[In, Out]) cancelledBy(err error) bool {
	ended := e.ctx.Err()
	if ended == nil {
		return false
	}
	cause := context.Cause(e.ctx)
	if !errors.Is(err, ended) && !errors.Is(err, cause) {
		return false
	}
	if text := err.Error(); text != ended.Error() && text != cause.Error() {
		e.log.Warn("handler was cancelled", "stage", e.name, "handler", e.running, "error", err, "cause", cause)
	}
	return true
}
