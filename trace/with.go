package trace

import (
	"context"
	"sync/atomic"
)

type (
	contextKey struct{}
	tracerKey  struct{}
)

// carried is set once a context has been put into a ctx: in a program that traces nothing
// FromContext need not look.
var carried atomic.Bool

// NewContext returns a ctx in which c is the span that work is done for.
func NewContext(ctx context.Context, c Context) context.Context {
	if !carried.Load() {
		carried.Store(true)
	}
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the span that work with ctx is done for, zero if there is none. In the
// function of a program that handles one sampled event it is the span of that attempt.
func FromContext(ctx context.Context) Context {
	if !carried.Load() {
		return Context{}
	}
	c, _ := ctx.Value(contextKey{}).(Context)
	return c
}

// WithTracer returns a ctx with a tracer. Stages that are started with it use the tracer, as
// do the handlers in them.
func WithTracer(ctx context.Context, t Tracer) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, tracerKey{}, t)
}

// TracerOf returns the tracer of ctx, or nil.
func TracerOf(ctx context.Context) Tracer {
	t, _ := ctx.Value(tracerKey{}).(Tracer)
	return t
}

// Start begins a span below that of ctx, with the tracer of ctx, and returns a ctx for what
// is below it. The caller ends the span. Without a tracer, or below a span that is not
// sampled, it records nothing and returns ctx itself.
func Start(ctx context.Context, name string, attrs ...Attr) (context.Context, Span) {
	c := FromContext(ctx)
	if !c.IsSampled() {
		return ctx, Nop(c)
	}
	t := TracerOf(ctx)
	if t == nil {
		return ctx, Nop(c)
	}
	s := t.Start(c, name, SpanConfig{Attrs: attrs})
	return NewContext(ctx, s.Context()), s
}
