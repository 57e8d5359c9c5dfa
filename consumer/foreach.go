package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// ForEachConfig configures [NewForEach]. The zero value is useful.
type ForEachConfig[T any] struct {
	// Retry bounds how often the function is called for one event. During the pauses
	// the events that arrive wait, within MaxDemand, so that the order is kept. With
	// StopStage a pause holds the stage's goroutine: a snapshot waits for its end, and a
	// stop ends it.
	Retry retry.Policy
	// OnFailure decides what follows when an event has failed in its last attempt.
	// Default: FailEvents.
	OnFailure OnFailure
	// DeadLetters, if set, gets a letter for each event that has failed for good, and
	// the event gets its receipt when the letter is stored. Until then it counts as one
	// that was asked for, so that MaxDemand bounds how many wait. Default: the receipt is given
	// at once.
	// It is refused with StopStage, which leaves events to their source.
	DeadLetters deadletter.Sink
	// Encode makes the bytes of a letter of an event. Default: its JSON.
	Encode func(event T) ([]byte, error)
	// Failed, if set, is called for every event that has failed for good, on the
	// stage's goroutine. err is a *WorkerError. If Failed panics the stage stops.
	Failed func(event T, err error)
	// Metrics gets the counters consumer.retries and consumer.failures. nil records
	// nothing.
	Metrics metrics.Recorder
	// Logger gets a line for a failed attempt that is repeated, and one for events
	// that have failed for good, each at most once a second with the number of
	// failures that it stands for. Default: slog.Default.
	Logger *slog.Logger
}

// ForEach is [NewForEach] with the zero config.
func ForEach[T any](f func(ctx context.Context, event T) error) (stage.Consumer[T], error) {
	return NewForEach(f, ForEachConfig[T]{})
}

// NewForEach returns a consumer that calls f for each event, in order, one at a time, on
// the stage's goroutine. An event for which f returns an error or panics is tried again
// after a pause, up to MaxAttempts times; then it has failed, and the next one follows. A
// *stage.DiscardError means that the event was dropped on purpose, and stage.ErrDone ends
// the stage after that event. runtime.Goexit ends the stage's goroutine: the stage stops
// with stage.ErrGoexit.
//
// When the stage ends the events before have their receipts, and that event and the
// later ones have none. f must not be nil: the error is an [*OptionError].
func NewForEach[T any](f func(ctx context.Context, event T) error, cfg ForEachConfig[T]) (stage.Consumer[T], error) {
	cfg.Retry = cfg.Retry.WithDefaults()
	option.Logger(&cfg.Logger)
	owner := option.Owner("consumer.ForEach")
	if err := option.First(
		owner.Needs("f", f, "a function"),
		cfg.Retry.Validate(string(owner)),
		cfg.OnFailure.validate(owner),
		owner.Recorder(cfg.Metrics),
		checkSink(owner, cfg.DeadLetters),
		cfg.OnFailure.keeps(owner, cfg.DeadLetters),
	); err != nil {
		return nil, err
	}
	each := eachEvent[T]{
		f: f, cfg: cfg, attempt: 1,
		attempts: attempts{retry: cfg.Retry, log: cfg.Logger, what: "event", meters: newMeters(cfg.Metrics), final: discarded},
	}
	if cfg.OnFailure == StopStage {
		return &forEachOrStop[T]{eachEvent: each}, nil
	}
	return &forEach[T]{
		eachEvent: each, handled: make(map[*stage.Subscription[T]]int),
		buried: buried[T]{letters: newLetters(cfg.DeadLetters, cfg.Encode)},
	}, nil
}

// eachEvent belongs to its stage's goroutine.
type eachEvent[T any] struct {
	f        func(ctx context.Context, event T) error
	cfg      ForEachConfig[T]
	attempts attempts
	attempt  int       // of the event that is handled next, from 1
	first    time.Time // of its failures; zero: there was none
	since    time.Time // first of the event that has failed for good last
}

// HandleStart implements stage.StartHandler.
func (c *eachEvent[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	c.attempts.start(ctx, self)
	return nil
}

// HandleTerminate implements stage.TerminateHandler.
func (c *eachEvent[T]) HandleTerminate(context.Context, error) error {
	c.attempts.end()
	return nil
}

// HandleInspect implements stage.InspectHandler: it returns a [ForEachSnapshot].
func (c *eachEvent[T]) HandleInspect() any { return ForEachSnapshot{AttemptCounts: c.attempts.counts} }

// call makes an attempt for one event. If another one follows next.again is set. Otherwise
// the error is what f has returned, or a *WorkerError if the event has failed for good. The
// attempt has a span below that of the event, if it is sampled.
func (c *eachEvent[T]) call(ctx context.Context, event T, span trace.Context) (next decision, err error) {
	attempt := c.attempt
	next, err = c.attempts.once(ctx, attempt, c.cfg.Retry.MaxAttempts, func() error {
		if span.IsSampled() {
			return tracing.Try(ctx, c.attempts.tracer, span, c.attempts.self.Name(), attempt, func(ctx context.Context) error { return c.f(ctx, event) })
		}
		return c.f(ctx, event)
	})
	if err != nil && c.first.IsZero() {
		c.first = time.Now()
	}
	if next.again {
		if next.counts {
			c.attempt++
		}
		return next, nil
	}
	c.attempt, c.since, c.first = 1, c.first, time.Time{}
	// A failure may be due to the cancellation, and is none then.
	if err == nil || err == stage.ErrDone || discarded(err) || ctx.Err() != nil {
		return next, err
	}
	c.attempts.failed(1, err, attempt)
	err = &WorkerError{Stage: c.attempts.self.Name(), Attempt: attempt, Err: err}
	if c.cfg.Failed != nil {
		c.cfg.Failed(event, err)
	}
	return next, err
}

// forEachOrStop stops its stage with the first event that fails for good. It takes events
// and not deliveries, so that the stage knows that event: with Redeliver it is blamed, and
// not those behind it. So a pause holds the stage's goroutine.
type forEachOrStop[T any] struct {
	eachEvent[T]
	handled int // events of the last call
}

// HandleEvents implements stage.Consumer. The stage reads handled through HandleProgress
// after a call that failed.
func (c *forEachOrStop[T]) HandleEvents(ctx context.Context, events []T) error {
	var span trace.Context
	if c.attempts.tracer != nil {
		span = trace.FromContext(ctx) // that of the event, which is alone if it is sampled
	}
	for i, event := range events {
		c.handled = i // if the call does not return
		next, err := c.call(ctx, event, span)
		for next.again {
			if !wait(ctx, next.pause) {
				return ctx.Err() // it might have succeeded yet
			}
			next, err = c.call(ctx, event, span)
		}
		if err != nil {
			if err == stage.ErrDone {
				c.handled++
			}
			return err
		}
	}
	return nil
}

// PerEvent makes the stage pass sampled events alone.
func (c *forEachOrStop[T]) PerEvent() {}

// HandleProgress implements stage.ProgressHandler.
func (c *forEachOrStop[T]) HandleProgress() int { return c.handled }
