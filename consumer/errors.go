package consumer

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
)

// The errors of consumers. Test for them with errors.Is.
var (
	// ErrTooManyRestarts stops a supervisor whose workers were restarted more
	// often than MaxRestarts allows.
	ErrTooManyRestarts = errors.New("too many restarts")
	// ErrTimeout ends an attempt that took longer than its Timeout. Packages pipeline and
	// middleware have the same error.
	ErrTimeout = errors.New("attempt took too long")
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// PanicError is a panic of user code. The type is the same in every package of this
// module.
type PanicError = crash.PanicError

// WorkerError is the failure of one worker, or of the function of a ForEach.
type WorkerError struct {
	// Stage names the consumer's stage, Attempt counts from 1.
	Stage   string
	Attempt int
	// Err is the error that the worker returned, a *PanicError, stage.ErrGoexit or
	// ErrTimeout.
	Err error
}

// Error implements error.
func (e *WorkerError) Error() string {
	return fmt.Sprintf("stage %q: worker, attempt %d: %v", e.Stage, e.Attempt, e.Err)
}

// Unwrap returns Err.
func (e *WorkerError) Unwrap() error { return e.Err }

// BatchError is the failure of a batch, or of one event of a batch.
type BatchError struct {
	// Stage names the stage, Size is how many events have failed, Attempt counts the
	// calls from 1.
	Stage   string
	Size    int
	Attempt int
	// Err is what the function returned.
	Err error
}

// Error implements error.
func (e *BatchError) Error() string {
	return fmt.Sprintf("stage %q: batch of %d, attempt %d: %v", e.Stage, e.Size, e.Attempt, e.Err)
}

// Unwrap returns Err.
func (e *BatchError) Unwrap() error { return e.Err }
