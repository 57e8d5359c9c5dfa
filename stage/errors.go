package stage

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// The reasons for which a subscription or a stage ends. They may be wrapped, so
// test with errors.Is for the reason and with [Normal] for whether the end was
// normal.
var (
	// ErrDone is the normal end: the producer has no more events and will have
	// none. A handler returns exactly ErrDone to end its stage; an error that
	// wraps it is a failure. Subscribers receive it after the last event.
	ErrDone = errors.New("no more events")
	// ErrCancelled is the reason of a subscription that was cancelled without
	// another reason.
	ErrCancelled = errors.New("subscription cancelled")
	// ErrStopped is the reason of a stage that was stopped from outside; it is
	// then the cause of a handler's context.
	ErrStopped = errors.New("stage stopped")
	// ErrDrainTimeout is the reason of a stage that was stopped because it had
	// not drained in time.
	ErrDrainTimeout = errors.New("not drained in time")
	// ErrHung reports a handler that did not return after its context was
	// cancelled. Its goroutine is the only one that can outlive Run.
	ErrHung = errors.New("handler did not return")
	// ErrExcess reports that a producer delivered more than was asked for.
	ErrExcess = errors.New("more events than demand")
	// ErrOutside reports an event that was emitted while no handler was running, by
	// another goroutine: the stage's own goroutine may use the emitter at the
	// same time.
	ErrOutside = errors.New("emitted outside of a handler")
	// ErrDraining refuses stages for a pipeline that drains.
	ErrDraining = errors.New("pipeline drains")
	// ErrStarted reports a second start, or a change that is possible only
	// before the start.
	ErrStarted = errors.New("stage already started")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// ownerOf names a stage in the errors of its options.
func ownerOf(stage string) option.Owner { return option.Owner(fmt.Sprintf("stage %q", stage)) }

// Error reports the failure of a stage: a handler that returned an error,
// panicked or ended its goroutine.
type Error struct {
	// Stage names the stage that failed, Handler the handler in which it did.
	Stage, Handler string
	// Err is the handler's error, a *PanicError or ErrGoexit.
	Err error
	// Stack is the goroutine's stack, as debug.Stack formats it, where the
	// handler panicked or ended the goroutine; nil for one that returned.
	Stack []byte
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("stage %q: %s: %v", e.Stage, e.Handler, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is a panic of user code that was recovered. The type is the same in
// every package of this module.
type PanicError = crash.PanicError

// ErrGoexit reports a handler that ended its goroutine with runtime.Goexit.
var ErrGoexit = crash.ErrGoexit

// SubscriptionError stops a stage that does not survive the end of a subscription,
// by the subscription's cancel mode.
type SubscriptionError struct {
	// Stage names the consumer, Producer the stage it was subscribed to.
	Stage, Producer string
	// Reason is the reason with which the subscription ended.
	Reason error
}

// Error implements error.
func (e *SubscriptionError) Error() string {
	return fmt.Sprintf("stage %q: subscription to %q ended: %v", e.Stage, e.Producer, e.Reason)
}

// Unwrap returns Reason.
func (e *SubscriptionError) Unwrap() error { return e.Reason }

// DiscardError drops an event on purpose: a worker, or a handler that gives
// receipts one by one, returns it, and the event's outcome is Discarded with Reason
// rather than Failed.
type DiscardError struct {
	Reason receipt.Reason
}

// Discard returns a *DiscardError with reason.
func Discard(reason receipt.Reason) error { return &DiscardError{Reason: reason} }

// Error implements error.
func (e *DiscardError) Error() string { return "discarded: " + string(e.Reason) }
