package pipeline

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/retry"
)

// The defaults of StepConfig.
const (
	DefaultWindow  = 1000
	DefaultMaxHeld = 100_000
)

// OnFailure selects what follows when an event has failed for good.
type OnFailure uint8

const (
	// ContinueOnFailure counts and logs the event, stores it as a dead letter if there is a
	// sink, and goes on with the next. It is the default.
	ContinueOnFailure OnFailure = iota
	// StopOnFailure ends the pipeline with the error. The event has no receipt: its source
	// has it again after the next start.
	StopOnFailure
)

// Middleware runs around each attempt at an event. It calls next once, or not at all to
// decide in its place, and returns the error of the attempt. It may call next again after an
// error; once the event is handled another call returns an error and does nothing else. It
// is called by several goroutines at once if the step has Workers.
type Middleware[T any] func(ctx context.Context, event T, next func(ctx context.Context) error) error

// StepConfig configures a step for events of type In: [Map], [Filter], [FlatMap] and
// [Each]. The zero value is useful: one event at a time, in order.
type StepConfig[In any] struct {
	// Name names the step in errors, logs, metrics, snapshots and dead letters, and for
	// [Pipeline.Step]. Default: made from the kind and the place, such as "map-2".
	Name string
	// Workers is the number of events that are worked on at once. Default: 1.
	Workers int
	// Unordered lets results leave as soon as they are there. By default they leave in the
	// order of their inputs.
	Unordered bool
	// Key names what an event belongs to: events of one key are worked on one at a time
	// and in order, and there is no order between keys. nil is no key.
	Key func(event In) string
	// Window bounds the events that were taken and have no result, 1 or more and at least
	// Workers. Default: 1000, or Workers if that is more.
	Window int
	// MaxHeld bounds, beyond Window, the events that wait for a retry or behind one. When
	// it is reached the step takes nothing more. Default: 100,000.
	MaxHeld int
	// Retry is how often, and after which pauses, an event that has failed is tried
	// again. The zero value is the pipeline's.
	Retry retry.Policy
	// OnFailure selects what follows when an event has failed for good. Default:
	// ContinueOnFailure.
	OnFailure OnFailure
	// DeadLetters gets the events that have failed for good. Default: the pipeline's.
	DeadLetters deadletter.Sink
	// Encode encodes an event for its letter. Default: as JSON.
	Encode func(event In) ([]byte, error)
	// Rate limits the attempts of the step; [Step.SetRate] changes it. The zero value is no
	// limit.
	Rate Rate
	// KeyRate limits the attempts of each key, and requires Key. The zero value is no limit.
	KeyRate Rate
	// Timeout bounds one attempt. 0 is no bound.
	Timeout time.Duration
	// Use is run around each attempt, the first one outermost.
	Use []Middleware[In]
	// Restart is what follows when the step itself dies. Default: the pipeline's.
	Restart Restart
}

// validate returns the error for the first refused option, or nil.
func (c StepConfig[In]) validate(owner option.Owner) error {
	return option.First(
		checkUse(owner, c.Use),
		option.Within(owner, "Workers", c.Workers, 0, math.MaxInt32),
		option.AtLeast(owner, "Window", c.Window, 0),
		owner.Check(c.Window == 0 || c.Window >= c.Workers, "Window", c.Window, "Workers or more, or 0 for the default"),
		option.AtLeast(owner, "MaxHeld", c.MaxHeld, 0),
		c.Retry.Validate(string(owner)),
		owner.Check(c.OnFailure <= StopOnFailure, "OnFailure", c.OnFailure, "ContinueOnFailure or StopOnFailure"),
		owner.Optional("DeadLetters", c.DeadLetters, "a sink"),
		checkRate(owner, "Rate", c.Rate),
		checkRate(owner, "KeyRate", c.KeyRate),
		owner.Check(c.KeyRate == Rate{} || c.Key != nil, "KeyRate", c.KeyRate, "no rate unless Key is set"),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
		c.Restart.validate(owner),
	)
}

// within returns c with its zero fields filled in, for a step of p.
func (c StepConfig[In]) within(p *Pipeline) StepConfig[In] {
	option.Default(&c.Workers, 1)
	option.Default(&c.Window, max(DefaultWindow, c.Workers))
	option.Default(&c.MaxHeld, DefaultMaxHeld)
	c.Retry = retryOr(c.Retry, p.cfg.Retry)
	if c.DeadLetters == nil {
		c.DeadLetters = p.cfg.DeadLetters
	}
	return c
}

// retryOr returns a policy with its defaults, or the pipeline's if it is zero.
func retryOr(r, byDefault retry.Policy) retry.Policy {
	if unset(r) {
		return byDefault
	}
	return r.WithDefaults()
}

// unset reports whether a policy is the zero value. Its function forbids ==.
func unset(r retry.Policy) bool { return reflect.ValueOf(r).IsZero() }

// checkUse refuses a middleware that is nil.
func checkUse[T any](owner option.Owner, use []Middleware[T]) error {
	for i, m := range use {
		if m == nil {
			return owner.Refuse("Use["+itoa(i)+"]", nil, "a function")
		}
	}
	return nil
}
