package producer

import (
	"errors"

	"github.com/penstock-go/penstock/internal/option"
)

// The errors of a queue; test for them with errors.Is.
var (
	// ErrFull is the result of a push for which there was no room.
	ErrFull = errors.New("queue is full")
	// ErrClosed is the result of a push after the queue was closed, drained or
	// stopped.
	ErrClosed = errors.New("queue is closed")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error
