package delivery

import (
	"context"
	"time"

	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/trace"
)

// beginSpan begins the span of an attempt to deliver a sampled event, and returns a context
// with which the endpoint makes those of the writes below it, on all nodes.
func (c *Consumer[T]) beginSpan(f *flight[T]) context.Context {
	f.attempt++
	f.span = c.tracer.Start(f.trace, trace.SpanDeliver+" "+c.self.Name(), trace.SpanConfig{
		Kind: trace.Producer, Attrs: []trace.Attr{trace.String(trace.AttrStage, c.self.Name()), trace.Int(trace.AttrAttempt, f.attempt)},
	})
	return trace.NewContext(c.ctx, f.span.Context())
}

// abandonSpan ends the span of an attempt whose report does not come any more.
func (f *flight[T]) abandonSpan() {
	if f.span != nil {
		tracing.Abandon(f.span)
		f.span = nil
	}
}

// endSpan ends the span of an attempt, if it has one.
func (f *flight[T]) endSpan(err error) {
	if f.span != nil {
		f.span.End(time.Time{}, err)
		f.span = nil
	}
}
