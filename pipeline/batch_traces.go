package pipeline

import (
	"time"

	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// batchTraces is what a step needs that keeps events for a batch or a summary, and passes on
// events made of them. open has the span of each sampled event, from its arrival until what was
// made of it is passed on. At a Reduce, whose stage makes the spans of events, open has in their
// place spans that record nothing and have the contexts that the events came with.
type batchTraces[T any] struct {
	stepTraces[T]
	open tracing.Spans[stage.Held]
}

// sampled returns the context of an event that is to have a span. It may call a method of the
// program.
func (t *batchTraces[T]) sampled(event *T) trace.Context {
	if t.of == nil {
		return trace.Context{}
	}
	return t.of.Sampled(event)
}

// keep begins the span of an event that is held, if sampled has returned its context.
func (t *batchTraces[T]) keep(c trace.Context, held stage.Held, step string) {
	if c.IsValid() {
		t.open.Add(held, t.handle(c, step))
	}
}

// links adds the span of an event that is held to those of its batch.
func (t *batchTraces[T]) links(l *tracing.Links, held stage.Held) {
	if t.open.Any() {
		l.Add(t.open.Context(held))
	}
}

// end ends the spans of events that are held no more.
func (t *batchTraces[T]) end(err error, held ...stage.Held) {
	if !t.open.Any() {
		return
	}
	for _, h := range held {
		if span := t.open.Take(h); span != nil {
			endSpan(span, err)
		}
	}
}

// passOn calls emit, which passes on what was made of n events that are held, in a span if
// one of them is sampled. The context of that is passed to emit, zero without a span.
func (t *batchTraces[T]) passOn(step string, held []stage.Held, emit func(trace.Context) error) error {
	var links tracing.Links
	for _, h := range held {
		t.links(&links, h)
	}
	if !links.Any() {
		err := emit(trace.Context{})
		t.end(err, held...)
		return err
	}
	span := links.Start(t.tracer, step, len(held))
	err := emit(span.Context())
	span.End(time.Time{}, err)
	t.end(err, held...)
	return err
}

// spanOf returns the context of the span of an event, zero without one.
func (s *batchStep[T, Out]) spanOf(at *batchPlace[T]) trace.Context {
	if c := s.traces.open.Context(at.held); c.IsValid() {
		return c
	}
	return at.in.sub.TraceContext(at.position)
}

// sampled returns the context of the span of the first sampled event of a batch.
func (s *batchStep[T, Out]) sampled(w *batchWork[T, batchPlace[T]]) (c trace.Context) {
	if s.traces.of == nil || len(w.parts) == 0 {
		return c
	}
	places := w.top().places
	for i := range places {
		if c = s.spanOf(&places[i]); c.IsValid() {
			break
		}
	}
	return c
}
