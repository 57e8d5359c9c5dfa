package pipeline

import (
	"context"
	"errors"

	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// stepTraces is what a step needs for the spans of its events. It does not change after the
// start.
type stepTraces[In any] struct {
	tracer trace.Tracer
	read   func(*In) trace.Context // nil: nothing is traced
}

// start takes the tracer of the stage's context.
func (t *stepTraces[In]) start(ctx context.Context) {
	if t.tracer = trace.TracerOf(ctx); t.tracer != nil {
		t.read = trace.Reader[In]()
	}
}

// before cuts a delivery off before its first sampled event. That one and those behind it go
// to the pool, also where the stage's goroutine could do without it.
func (t *stepTraces[In]) before(d stage.Delivery[In]) stage.Delivery[In] {
	if t.read == nil {
		return d
	}
	for i := range d.Events {
		if c := t.read(&d.Events[i]); c.IsSampled() {
			d.Events = d.Events[:i]
			break
		}
	}
	return d
}

// handle begins the span of an event at a step with output.
func (t *stepTraces[In]) handle(parent trace.Context, step string) trace.Span {
	return t.tracer.Start(parent, trace.SpanHandle+" "+step, trace.SpanConfig{
		Kind: trace.Consumer, Attrs: []trace.Attr{trace.String(trace.AttrStage, step)},
	})
}

// holdRest keeps, if a step needs no more, the events of a delivery that before has cut off:
// they are given back.
func (t *transformStep[In, Out]) holdRest(d stage.Delivery[In], err error, emit *stage.Emitter[Out]) error {
	if err == stage.ErrDone {
		for i := len(t.traces.before(d).Events); i < len(d.Events); i++ {
			emit.Hold(i)
		}
	}
	return err
}

// beginSpans begins the spans of events that are about to become jobs, of a step that makes
// them itself: one with output. At an end the stage makes them. It returns nil if there are
// none. It is called without the pool's lock, since it calls a method of the program.
func (s *stepBase[In, Out]) beginSpans(events []In, own bool) (spans []trace.Span) {
	if s.traces.read == nil || !own {
		return nil
	}
	for i := range events {
		if c := s.traces.read(&events[i]); c.IsSampled() {
			if spans == nil {
				spans = make([]trace.Span, len(events))
			}
			spans[i] = s.traces.handle(c, s.at.stage)
		}
	}
	return spans
}

// traced puts a span around each attempt at a sampled event.
func (s *stepBase[In, Out]) traced(make func() stepFunc[In, Out]) func() stepFunc[In, Out] {
	return func() stepFunc[In, Out] {
		f := make()
		return func(ctx context.Context, w *work[In, Out]) error {
			if s.traces.read == nil {
				return f(ctx, w)
			}
			var c trace.Context
			if w.span != nil {
				c = w.span.Context()
			} else if w.from != nil {
				c = w.from.sub.TraceContext(w.position)
			}
			if !c.IsSampled() {
				return f(ctx, w)
			}
			w.tries++
			return tracing.Try(ctx, s.traces.tracer, c, s.at.stage, w.tries, func(ctx context.Context) error { return f(ctx, w) })
		}
	}
}

// abandonSpans ends the spans of the jobs that are left when the pool was closed.
func (s *stepBase[In, Out]) abandonSpans() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	for j := s.pool.core.first; j != nil; j = j.after {
		j.data.abandon()
	}
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
