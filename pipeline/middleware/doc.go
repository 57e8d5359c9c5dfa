// Package middleware has functions that run around each attempt at an event, for the
// field Use of a step of package pipeline:
//
//	breaker, err := middleware.NewBreaker(middleware.BreakerConfig{Name: "billing"})
//	…
//	pipeline.StepConfig[Row]{Use: []pipeline.Middleware[Row]{
//		logged,                         // middleware.Log
//		middleware.Break[Row](breaker), // for any number of steps that use one service
//	}}
//
// [Log], [Trace], [Timeout], [Recover], [Online] and [NewDeduplicator] make the others.
// Each is a plain function, a [Func], so that a program writes its own in the same way:
// it calls next once and returns the error, or returns without calling next to decide in
// its place. What next returns is the error of the attempt, so the first middleware of Use
// sees what all others have made of it.
//
// An error that is a [stage.DiscardError] drops the event on purpose, and one that was
// marked with [retry.Later] postpones it: neither is a failure, and neither counts as an
// attempt that has failed.
//
// All of them may be called by any number of goroutines at once, also those of several
// steps. They start no goroutine, hold no lock while next runs, and allocate nothing
// unless they log, refuse or have a new key to remember; [Timeout] costs a context.
package middleware

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/option"
)

// Func runs around an attempt at an event. It is assignable to pipeline.Middleware.
type Func[T any] = func(ctx context.Context, event T, next func(ctx context.Context) error) error

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// PanicError is a panic of user code that was recovered. The type is the same in
// every package of this module.
type PanicError = crash.PanicError
