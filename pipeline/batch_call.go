package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// batchFunc is the function of a step, with its results if it has any.
type batchFunc[T, Out any] func(ctx context.Context, events []T) ([]Out, error)

// batchCall calls the function of a step for one worker, with the middleware around it.
// The closures are made once for a worker.
type batchCall[T, Out any] struct {
	step  *batchStep[T, Out]
	chain func(ctx context.Context) error
	lent  []T   // the copy of the events that the function may change
	out   []Out // what it has returned
	done  bool  // it has handled the events
}

func newBatchCall[T, Out any](s *batchStep[T, Out]) *batchCall[T, Out] {
	c := &batchCall[T, Out]{step: s}
	c.chain = func(ctx context.Context) (err error) {
		if c.done {
			return errNextAgain
		}
		c.out, err = s.call(ctx, c.lent)
		v := batchVerdictOf(err, len(c.lent))
		if v.failed != nil || v.whole != nil {
			c.out = nil // not for the events, also if a middleware makes the error none
		}
		c.done = v.failed == nil && v.whole == nil && len(v.some) == 0
		return err
	}
	for i := len(s.cfg.Use) - 1; i >= 0; i-- {
		m, next := s.cfg.Use[i], c.chain
		c.chain = func(ctx context.Context) error { return m(ctx, c.lent, next) }
	}
	return c
}

// work makes attempts at a batch, until each event has an end or the next attempt is to
// wait: it then returns an error with which the pool makes the pause, and calls it again.
// An error that the pool must not repeat means that events have failed for good.
func (c *batchCall[T, Out]) work(ctx context.Context, w *batchWork[T, batchPlace[T]]) error {
	s := c.step
	if w.bad != nil {
		w.giveUp(time.Now(), w.bad)
	}
	done := false
	for len(w.parts) > 0 {
		begun := time.Now()
		err := c.attempt(ctx, w)
		done = done || err == stage.ErrDone
		v, tries := batchVerdictOf(err, len(w.top().events)), w.top().tries+1
		now := time.Now()
		w.judge(s.policy, now, err, now.Sub(begun))
		if ctx.Err() != nil && (v.failed != nil || len(v.some) > 0) {
			// An event may have failed because the stage is being stopped: it has no end.
			s.giveEarly(w)
			return context.Cause(ctx)
		}
		if w.failed > 0 && s.cfg.OnFailure == StopOnFailure {
			s.giveEarly(w)
			return retry.Never(w.err)
		}
		if len(w.parts) == 0 {
			break
		}
		failed := v.failed != nil || len(v.some) > 0
		if pause := w.top().pause; pause > 0 && (failed || !w.top().half) {
			s.giveEarly(w)
			if !failed {
				err = errBatchPart
			}
			// As text: marks and discards of single events must not decide about the others.
			return retry.Later(fmt.Errorf("batch of %d, attempt %d: %v", w.size, tries, err), pause)
		}
	}
	s.give(w) // the pool wakes the stage
	if w.failed > 0 {
		s.pool.failedToo(w.failed - 1)
		return retry.Never(w.err)
	}
	if done {
		return stage.ErrDone
	}
	return nil
}

// attempt calls the function for the part of the batch that is next.
func (c *batchCall[T, Out]) attempt(ctx context.Context, w *batchWork[T, batchPlace[T]]) (err error) {
	p := w.top()
	c.lent, c.out, c.done, w.out = append(c.lent[:0], p.events...), nil, false, nil
	defer func() {
		clear(c.lent)
		c.out = nil
	}()
	defer crash.Catch(&err)
	ctx = context.WithValue(ctx, batchInfoKey{}, BatchInfo{Key: w.key, Size: w.size, Trigger: w.trigger, Attempt: p.tries + 1})
	err = c.traced(ctx, p)
	if c.out != nil {
		w.out = c.out
	}
	return err
}

// traced calls the function for a part of a batch, in a span if some of the events are
// sampled. Each of these has a span of its own: at an end that of the stage.
func (c *batchCall[T, Out]) traced(ctx context.Context, p *batchPart[T, batchPlace[T]]) error {
	s := c.step
	if s.traces.of != nil {
		var links tracing.Links
		for i := s.traces.of.Next(p.events, 0); i >= 0; i = s.traces.of.Next(p.events, i+1) {
			c := s.traces.of.Context(&p.events[i])
			if own := s.spanOf(&p.places[i]); own.IsValid() {
				c = own
			}
			links.Add(c)
		}
		if links.Any() {
			own := links.Start(s.traces.tracer, s.at.stage, len(p.events), trace.Int(trace.AttrAttempt, p.tries+1))
			return s.traces.within(ctx, own, 0, func(ctx context.Context) error { return s.exits.call(ctx, c.chain) })
		}
	}
	return s.exits.call(ctx, c.chain)
}
