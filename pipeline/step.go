package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// letters takes dead letters, as deadletter.Writer does. Send does not block; done is
// called once, from any goroutine, when the letter is stored, and not at all if the
// pipeline ends before that.
type letters interface {
	Send(letter deadletter.Letter, done func())
}

// stepPlace is what a step's handler needs to know of the pipeline around it.
type stepPlace struct {
	pipeline    string // its name
	stage       string // the name of the step
	letters     letters
	stopTimeout time.Duration
	wary        bool // the program's functions may end their goroutine, see node.learns
	logger      *slog.Logger
	metrics     metrics.Recorder
}

// work is an event in a step, and what was made of it. A step without output has one of
// its own type that it does not use.
type work[In, Out any] struct {
	in   In
	held stage.Held
	// out is the result if there is exactly one, and more are the results otherwise.
	out  Out
	one  bool
	more []Out
	key  string
	bad  error // the panic of the program's Key

	from     *stepAccount[In]
	position uint64 // on the subscription

	span  trace.Span // of a sampled event in a step with output; otherwise nil
	tries int        // attempts at a sampled event
}

// reset empties w, for another attempt or another event.
func (w *work[In, Out]) reset() {
	w.one = false
	if len(w.more) > 0 {
		clear(w.more)
		w.more = w.more[:0]
	}
}

// wipe makes w refer to no event any more.
func (w *work[In, Out]) wipe() {
	var in In
	var out Out
	w.in, w.out, w.held, w.key, w.bad, w.from, w.tries, w.span = in, out, stage.Held{}, "", nil, nil, 0, nil
	w.reset()
}

// stepFunc makes an attempt at an event, and notes in w what it has made.
type stepFunc[In, Out any] func(ctx context.Context, w *work[In, Out]) error

// mapFunc is the step of Map.
func mapFunc[In, Out any](f func(ctx context.Context, event In) (Out, error)) stepFunc[In, Out] {
	return func(ctx context.Context, w *work[In, Out]) (err error) {
		w.out, err = f(ctx, w.in)
		w.one = err == nil
		return err
	}
}

// filterFunc is the step of Filter.
func filterFunc[T any](keep func(ctx context.Context, event T) (bool, error)) stepFunc[T, T] {
	return func(ctx context.Context, w *work[T, T]) error {
		ok, err := keep(ctx, w.in)
		if w.one = ok && err == nil; w.one {
			w.out = w.in
		}
		return err
	}
}

// eachFunc is the step of Each.
func eachFunc[T any](f func(ctx context.Context, event T) error) stepFunc[T, struct{}] {
	return func(ctx context.Context, w *work[T, struct{}]) error { return f(ctx, w.in) }
}

// always returns a function for steps that need no state of a worker.
func always[In, Out any](f stepFunc[In, Out]) func() stepFunc[In, Out] {
	return func() stepFunc[In, Out] { return f }
}

// errNextAgain is what next returns to a middleware that calls it again although the event
// was handled. The event is not handled twice.
var errNextAgain = retry.Never(errors.New("next was called again by a middleware, although the event was handled"))

// chained puts middleware around the step of a worker, the first one outermost. The
// closures are made once for a worker, so that an event costs no allocation.
func chained[In, Out any](use []Middleware[In], make func() stepFunc[In, Out]) func() stepFunc[In, Out] {
	if len(use) == 0 {
		return make
	}
	return func() stepFunc[In, Out] {
		var now *work[In, Out]
		done := false // the function has handled the event
		f := make()
		next := func(ctx context.Context) error {
			if done {
				return errNextAgain
			}
			err := f(ctx, now)
			done = err == nil
			return err
		}
		for i := len(use) - 1; i >= 0; i-- {
			m, inner := use[i], next
			next = func(ctx context.Context) error { return m(ctx, now.in, inner) }
		}
		return func(ctx context.Context, w *work[In, Out]) error {
			now, done = w, false
			w.reset() // a middleware may return nil without calling next
			err := next(ctx)
			if err != nil {
				w.reset()
			}
			return err
		}
	}
}

// stepPool returns the config of a step's pool, but for ready and fail.
func stepPool[In, Out any](cfg StepConfig[In], at stepPlace, make func() stepFunc[In, Out]) poolConfig[work[In, Out]] {
	p := poolConfig[work[In, Out]]{
		stage: at.stage, workers: cfg.Workers, maxHeld: cfg.MaxHeld,
		ordered: !cfg.Unordered, keyed: cfg.Key != nil, rate: cfg.Rate, keyRate: cfg.KeyRate,
		timeout: cfg.Timeout, retry: cfg.Retry, wary: at.wary, halts: cfg.OnFailure == StopOnFailure,
		logger: at.logger, metrics: at.metrics,
		newCall: func() func(ctx context.Context, w *work[In, Out]) error { return make() },
		isolate: func(w, original *work[In, Out]) {
			w.more = nil
			original.tries++ // also if the attempt does not return
		},
	}
	if at.letters != nil {
		p.bury = func(w *work[In, Out], f failure, stored func()) bool {
			at.letters.Send(letterOf(at, w.in, cfg.Encode, w.key, f), stored)
			return true
		}
	}
	return p
}

// letterOf returns the dead letter of an event of the step.
func letterOf[T any](at stepPlace, event T, encode func(T) ([]byte, error), key string, f failure) deadletter.Letter {
	l := deadletter.Of(event, encode)
	l.Pipeline, l.Stage, l.Key = at.pipeline, at.stage, key
	l.Error, l.Attempts, l.First, l.Last = f.err.Error(), f.attempts, f.first, f.last
	return l
}

// keyed makes an event whose key is not known fail for good.
func keyed[In, Out any](cfg StepConfig[In], make func() stepFunc[In, Out]) func() stepFunc[In, Out] {
	if cfg.Key == nil {
		return make
	}
	return func() stepFunc[In, Out] {
		f := make()
		return func(ctx context.Context, w *work[In, Out]) error {
			if w.bad != nil {
				return retry.Never(w.bad)
			}
			return f(ctx, w)
		}
	}
}

// ending is why a stage is to be stopped: an event has failed for good, with StopOnFailure.
type ending struct {
	mu  sync.Mutex
	err error // guarded by mu
}

// halt notes what stops the stage, the first time. Any goroutine may call it.
func (e *ending) halt(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = final(fmt.Errorf("event failed: %w", err))
	}
}

// stopped returns what stops the stage, nil for nothing.
func (e *ending) stopped() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// halt is how a worker's goroutine stops the stage of an end: HandleInfo returns err.
type halt struct{ err error }
