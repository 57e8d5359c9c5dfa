package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

var (
	// ErrStarted reports a second Run, and a step that was added to a pipeline after it was
	// run.
	ErrStarted = stage.ErrStarted
	// ErrStopped reports that a pipeline does not run, or does not run any more.
	ErrStopped = stage.ErrStopped
	// ErrTimeout is the error of an attempt that took longer than its Timeout. It is that
	// of package consumer.
	ErrTimeout = consumer.ErrTimeout
	// ErrUnable reports a control that a step does not have.
	ErrUnable = errors.New("the step has no such control")
)

// PanicError is a panic of user code that was recovered. The type is the same in every
// package of this module.
type PanicError = crash.PanicError

// RestartError ends a pipeline of which a step has died too often.
type RestartError struct {
	// Step names the step, and Restarts is how often it was made anew within Window before.
	Step     string
	Restarts int
	Window   time.Duration
	// Err is the error with which its stage has failed the last time.
	Err error
}

// Error implements error.
func (e *RestartError) Error() string {
	return fmt.Sprintf("step %q was made anew %d times in %v and has failed again: %v", e.Step, e.Restarts, e.Window, e.Err)
}

// Unwrap returns Err.
func (e *RestartError) Unwrap() error { return e.Err }

// finalError is an error with which a step ends for good: it is not made anew.
type finalError struct{ error }

// Unwrap returns the error.
func (e *finalError) Unwrap() error { return e.error }

// final marks the error of a handler that stops its step on purpose, such as by
// StopOnFailure.
func final(err error) error { return &finalError{err} }

// isFinal reports whether err was marked with final.
func isFinal(err error) bool {
	_, ok := errors.AsType[*finalError](err)
	return ok
}

// stepOwner names a step in the errors of its options.
func stepOwner(name string) option.Owner { return option.Owner(fmt.Sprintf("pipeline step %q", name)) }
