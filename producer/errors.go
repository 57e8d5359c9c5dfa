package producer

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/penstock-go/penstock/internal/option"
)

// The errors of a queue; test for them with errors.Is.
var (
	// ErrFull is the result of a push for which there was no room.
	ErrFull = errors.New("queue is full")
	// ErrClosed is the result of a push after the queue was closed, drained or stopped.
	ErrClosed = errors.New("queue is closed")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// TypeError ends a [Stream] whose source has sent something other than events.
type TypeError struct {
	// Stage names the stage that read it.
	Stage string
	// Got is the type of the element, nil for a nil element; Want is the type
	// of events. A slice of Want would have been accepted as well.
	Got, Want reflect.Type
}

// Error implements error.
func (e *TypeError) Error() string {
	return fmt.Sprintf("stage %q: element of type %v, want %v or []%v", e.Stage, e.Got, e.Want, e.Want)
}
