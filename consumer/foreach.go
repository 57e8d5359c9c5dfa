package consumer

import (
	"context"
	"log/slog"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// ForEachConfig configures [NewForEach]. The zero value is useful.
type ForEachConfig[T any] struct {
	// Retry bounds how often the function is called for one event. The stage handles
	// no other event during the pauses, so that the order is kept.
	Retry retry.Policy
	// OnFailure decides what follows when an event has failed in its last attempt.
	// Default: FailEvents.
	OnFailure OnFailure
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
	); err != nil {
		return nil, err
	}
	each := eachEvent[T]{f: f, cfg: cfg, attempts: attempts{retry: cfg.Retry, log: cfg.Logger, what: "event", meters: newMeters(cfg.Metrics), final: discarded}}
	if cfg.OnFailure == StopStage {
		return &forEachOrStop[T]{eachEvent: each}, nil
	}
	return &forEach[T]{eachEvent: each, handled: make(map[*stage.Subscription[T]]int)}, nil
}

// eachEvent belongs to its stage's goroutine.
type eachEvent[T any] struct {
	f        func(ctx context.Context, event T) error
	cfg      ForEachConfig[T]
	attempts attempts
}

// HandleStart implements stage.StartHandler.
func (c *eachEvent[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	c.attempts.start(self)
	return nil
}

// HandleTerminate implements stage.TerminateHandler.
func (c *forEach[T]) HandleTerminate(context.Context, error) error {
	c.attempts.end()
	return nil
}

// HandleInspect implements stage.InspectHandler: it returns [AttemptCounts].
func (c *eachEvent[T]) HandleInspect() any { return c.attempts.counts }

// call handles one event, with its attempts. The error is what f has returned, or a
// *WorkerError if the event has failed for good.
func (c *eachEvent[T]) call(ctx context.Context, event T) error {
	attempt, err := c.attempts.run(ctx, c.cfg.Retry.MaxAttempts, func() error { return c.f(ctx, event) })
	// A failure may be due to the cancellation, and is none then.
	if err == nil || err == stage.ErrDone || discarded(err) || ctx.Err() != nil {
		return err
	}
	c.attempts.failed(1, err, attempt)
	err = &WorkerError{Stage: c.attempts.self.Name(), Attempt: attempt, Err: err}
	if c.cfg.Failed != nil {
		c.cfg.Failed(event, err)
	}
	return err
}

// forEachOrStop stops its stage with the first event that fails for good.
type forEachOrStop[T any] struct {
	eachEvent[T]
	handled int // events of the last call
}

// HandleEvents implements stage.Consumer. The stage reads handled through HandleProgress
// after a call that failed.
func (c *forEachOrStop[T]) HandleEvents(ctx context.Context, events []T) error {
	for i, event := range events {
		c.handled = i // if the call does not return
		if err := c.call(ctx, event); err != nil {
			if err == stage.ErrDone {
				c.handled++
			}
			return err
		}
	}
	return nil
}

// HandleProgress implements stage.ProgressHandler.
func (c *forEachOrStop[T]) HandleProgress() int { return c.handled }

// forEach goes on after events that have failed. It gives each event its own
// receipt, and so takes deliveries.
type forEach[T any] struct {
	eachEvent[T]
	handled  map[*stage.Subscription[T]]int // events that were not asked for again yet
	finished []stage.Finished
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (c *forEach[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return refuseManual("consumer.ForEach", cfg)
}

// HandleEvents implements stage.Consumer; events come as deliveries instead.
func (c *forEach[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler. Receipts are given after each portion of
// the events that are asked for at once, and when the delivery ends, whatever ends it.
func (c *forEach[T]) HandleDelivery(ctx context.Context, d stage.Delivery[T]) error {
	sub := d.Subscription
	info := sub.Info()
	group := info.MaxDemand - info.MinDemand
	c.finished = c.finished[:0]
	defer func() { c.settle(sub, group) }() // Failed may panic
	for i, event := range d.Events {
		// A delivery may be large, and none of it needs to be handled after a stop.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := c.call(ctx, event)
		switch {
		case err == nil || discarded(err):
		case err == stage.ErrDone:
			c.finished = append(c.finished, stage.Finished{Position: d.First + uint64(i)})
			return err
		case ctx.Err() != nil:
			return err // without a receipt
		}
		c.finished = append(c.finished, stage.Finished{Position: d.First + uint64(i), Err: err})
		if len(c.finished) >= group {
			c.settle(sub, group)
		}
	}
	return nil
}

// settle gives the receipts, and asks for as many events as were handled once there are
// enough for a group.
func (c *forEach[T]) settle(sub *stage.Subscription[T], group int) {
	n := len(c.finished)
	if n == 0 {
		return
	}
	ask, known := c.handled[sub]
	if !known {
		for old := range c.handled {
			if old.Err() != nil {
				delete(c.handled, old)
			}
		}
	}
	if ask += n; ask < group {
		c.handled[sub] = ask
		ask = 0
	} else {
		c.handled[sub] = 0
	}
	sub.Settle(ask, c.finished...)
	clear(c.finished)
	c.finished = c.finished[:0]
}
