package producer

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/option"
)

// The errors of a queue; test for them with errors.Is.
var (
	// ErrFull is the result of a push for which there was no room: in the queue,
	// or within MaxBytes. The error is a [*BoundError].
	ErrFull = errors.New("queue is full")
	// ErrKeyFull is the result of a push whose key has KeyMaxEvents unfinished
	// events. Pushes with other keys may succeed. The error is a [*BoundError].
	ErrKeyFull = errors.New("key is full")
	// ErrTooLarge is the result of a push of an event that alone exceeds MaxBytes.
	// The error is a [*BoundError].
	ErrTooLarge = errors.New("event is too large")
	// ErrClosed is the result of a push after the queue was closed, drained or
	// stopped.
	ErrClosed = errors.New("queue is closed")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// BoundError is a push that was refused for a bound of the queue.
type BoundError struct {
	// Bound names the option: Capacity, KeyMaxEvents or MaxBytes.
	Bound string
	// Limit is its value, in events or bytes.
	Limit int64
	// Err is ErrFull, ErrKeyFull or ErrTooLarge.
	Err error
}

// Error implements error.
func (e *BoundError) Error() string { return fmt.Sprintf("%v: %s is %d", e.Err, e.Bound, e.Limit) }

// Unwrap returns Err.
func (e *BoundError) Unwrap() error { return e.Err }
