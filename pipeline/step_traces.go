package pipeline

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// stepTraces is what a step needs for the spans of its events. The tracer and the reader do
// not change after the start.
type stepTraces[In any] struct {
	tracer trace.Tracer
	of     *tracing.Carriers[In] // nil: nothing is traced
	calls  tracing.Spans[uint64] // attempts that have not returned, by number
	last   atomic.Uint64         // number of an attempt
}

// start takes the tracer of the stage's context.
func (t *stepTraces[In]) start(ctx context.Context) {
	if t.tracer = trace.TracerOf(ctx); t.tracer != nil {
		t.of = tracing.NewCarriers[In]()
	}
}

// before cuts a delivery off before its first sampled event. That one and those behind it go
// to the pool, also where the stage's goroutine could do without it.
func (t *stepTraces[In]) before(d stage.Delivery[In]) stage.Delivery[In] {
	if t.of == nil {
		return d
	}
	if i := t.of.Next(d.Events, 0); i >= 0 {
		d.Events = d.Events[:i]
	}
	return d
}

// handle begins the span of an event at a step with output.
func (t *stepTraces[In]) handle(parent trace.Context, step string) trace.Span {
	return t.tracer.Start(parent, trace.SpanHandle+" "+step, trace.SpanConfig{
		Kind: trace.Consumer, Attrs: []trace.Attr{trace.String(trace.AttrStage, step)},
	})
}

// within makes an attempt in a span. That ends with the attempt, or as soon as the stage does
// not wait for it any more: with a timeout, if it has not returned in time after its context was
// done, and at the stage's end.
func (t *stepTraces[In]) within(ctx context.Context, span trace.Span, timeout time.Duration, f func(ctx context.Context) error) error {
	number := t.last.Add(1)
	t.calls.Add(number, span)
	defer t.calls.Take(number)
	if timeout > 0 {
		hung := time.AfterFunc(grace(timeout), func() { span.End(time.Time{}, ErrTimeout) })
		defer hung.Stop()
	}
	return tracing.Within(ctx, span, f)
}

// holdRest keeps, if a step needs no more, the events of a delivery that before has cut off,
// from the i-th on: they are given back.
func (t *transformStep[In, Out]) holdRest(d stage.Delivery[In], i int, err error, emit *stage.Emitter[Out]) error {
	if err == stage.ErrDone {
		for ; i < len(d.Events); i++ {
			emit.Hold(i)
		}
	}
	return err
}

// beginSpans begins the spans of events that are about to become jobs, of a step that makes
// them itself: one with output. At an end the stage makes them. It returns nil if there are
// none. It is called without the pool's lock, since it calls a method of the program.
func (s *stepBase[In, Out]) beginSpans(events []In, own bool) (spans []trace.Span) {
	if s.traces.of == nil || !own {
		return nil
	}
	for i := s.traces.of.Next(events, 0); i >= 0; i = s.traces.of.Next(events, i+1) {
		if spans == nil {
			spans = make([]trace.Span, len(events))
		}
		spans[i] = s.traces.handle(s.traces.of.Context(&events[i]), s.at.stage)
	}
	return spans
}

// traced puts a span around each attempt at a sampled event.
func (s *stepBase[In, Out]) traced(make func() stepFunc[In, Out]) func() stepFunc[In, Out] {
	return func() stepFunc[In, Out] {
		f := make()
		return func(ctx context.Context, w *work[In, Out]) error {
			if s.traces.of == nil {
				return f(ctx, w)
			}
			c := s.sampled(w)
			if !c.IsSampled() {
				return f(ctx, w)
			}
			w.tries++
			span := tracing.Attempt(s.traces.tracer, c, s.at.stage, w.tries)
			return s.traces.within(ctx, span, s.cfg.Timeout, func(ctx context.Context) error { return f(ctx, w) })
		}
	}
}

// sampled returns the context of the span of an event, zero without one.
func (s *stepBase[In, Out]) sampled(w *work[In, Out]) trace.Context {
	switch {
	case w.span != nil:
		return w.span.Context()
	case s.traces.of != nil && w.from != nil:
		return w.from.sub.TraceContext(w.position)
	}
	return trace.Context{}
}

// abandonSpans ends the spans of the jobs that are left when the pool was closed, wherever
// they wait, and those of attempts that do not return. It leaves the jobs as they are: a
// worker may have one of them.
func (s *stepBase[In, Out]) abandonSpans() {
	s.open.Abandon()
	s.traces.calls.Abandon()
}

// endSpan ends the span of an event with what became of it.
func endSpan(span trace.Span, err error) {
	if discard, ok := errors.AsType[*stage.DiscardError](err); ok {
		tracing.End(span, receipt.Discarded, discard.Reason, nil)
		return
	}
	if logged, ok := err.(pace.Logged); ok {
		err = logged.Err
	}
	if err != nil {
		tracing.End(span, receipt.Failed, "", err)
		return
	}
	tracing.End(span, receipt.Done, "", nil)
}
