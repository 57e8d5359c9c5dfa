package pipeline

import (
	"time"

	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/trace"
)

// routeTraces is what a partition needs for the spans of the calls of its function.
type routeTraces[T any] struct {
	tracer trace.Tracer // nil: nothing is traced
	step   string
	now    T // the event of the call: a pointer to it costs no allocation
}

// traced puts a span around the calls of partition for sampled events. Only the goroutine of
// the stage calls what it returns.
func (s *sorter[T]) traced(partition func(T) (int, bool)) func(T) (int, bool) {
	t := &s.traces
	if t.tracer == nil {
		return partition
	}
	of := tracing.NewCarriers[T]()
	if of == nil {
		return partition
	}
	return func(event T) (int, bool) {
		t.now = event
		c := of.Sampled(&t.now)
		var none T
		t.now = none
		if !c.IsSampled() {
			return partition(event)
		}
		span := t.tracer.Start(c, trace.SpanRoute+" "+t.step, trace.SpanConfig{
			Attrs: []trace.Attr{trace.String(trace.AttrStage, t.step)},
		})
		i, ok := s.nowhere, true
		defer func() { // also if the function ends the goroutine
			if i == s.nowhere {
				span.End(time.Time{}, errUnrouted)
				return
			}
			span.Set(trace.String(trace.AttrRoute, s.label(i)))
			span.End(time.Time{}, nil)
		}()
		i, ok = partition(event)
		return i, ok
	}
}
