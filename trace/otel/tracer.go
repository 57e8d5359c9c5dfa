// Package otel makes spans with OpenTelemetry: its [Tracer] passes them to the SDK of a
// program, and with it to any exporter. It is a package of its own, since it compiles
// OpenTelemetry's API.
package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/trace"
)

// OptionError reports a refused option. The type is the same in every package of this module.
type OptionError = option.Error

// Config configures [New].
type Config struct {
	// Provider makes the spans, such as the SDK's TracerProvider. Its sampler decides for
	// spans without a parent; it should be parent-based, so that all of a trace is sampled or
	// nothing. Required.
	Provider oteltrace.TracerProvider
}

// scope names this module as the source of the spans.
const scope = "github.com/penstock-go/penstock"

// Tracer is a trace.Tracer over a TracerProvider.
type Tracer struct{ tracer oteltrace.Tracer }

// New returns a tracer. The error is an [*OptionError].
func New(cfg Config) (*Tracer, error) {
	if err := option.Owner("otel.Tracer").Needs("Provider", cfg.Provider, "a TracerProvider"); err != nil {
		return nil, err
	}
	return &Tracer{cfg.Provider.Tracer(scope)}, nil
}

// Start implements trace.Tracer.
func (t *Tracer) Start(parent trace.Context, name string, cfg trace.SpanConfig) trace.Span {
	ctx := context.Background()
	if parent.IsValid() {
		ctx = oteltrace.ContextWithSpanContext(ctx, ToSpanContext(parent))
	}
	// The numbers of the kinds are those of OpenTelemetry, less one.
	opts := []oteltrace.SpanStartOption{
		oteltrace.WithSpanKind(oteltrace.SpanKind(cfg.Kind + 1)), oteltrace.WithAttributes(attributes(cfg.Attrs)...),
	}
	if !cfg.At.IsZero() {
		opts = append(opts, oteltrace.WithTimestamp(cfg.At))
	}
	for _, l := range cfg.Links {
		opts = append(opts, oteltrace.WithLinks(oteltrace.Link{SpanContext: ToSpanContext(l)}))
	}
	_, s := t.tracer.Start(ctx, name, opts...)
	return &span{span: s, context: FromSpanContext(s.SpanContext())}
}

// span is a trace.Span over one of OpenTelemetry.
type span struct {
	span    oteltrace.Span
	context trace.Context
}

// Context implements trace.Span.
func (s *span) Context() trace.Context { return s.context }

// Set implements trace.Span.
func (s *span) Set(attrs ...trace.Attr) { s.span.SetAttributes(attributes(attrs)...) }

// End implements trace.Span.
func (s *span) End(at time.Time, err error) {
	if err != nil {
		s.span.RecordError(err)
		s.span.SetStatus(codes.Error, err.Error())
	}
	if at.IsZero() {
		s.span.End()
		return
	}
	s.span.End(oteltrace.WithTimestamp(at))
}

// attributes translates attributes. A value of another type is left out.
func attributes(attrs []trace.Attr) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		switch v := a.Value.(type) {
		case string:
			list = append(list, attribute.String(a.Key, v))
		case int64:
			list = append(list, attribute.Int64(a.Key, v))
		case float64:
			list = append(list, attribute.Float64(a.Key, v))
		case bool:
			list = append(list, attribute.Bool(a.Key, v))
		}
	}
	return list
}

// ToSpanContext translates a context for code that uses OpenTelemetry, such as an instrumented
// HTTP client: oteltrace.ContextWithSpanContext(ctx, otel.ToSpanContext(trace.FromContext(ctx))).
func ToSpanContext(c trace.Context) oteltrace.SpanContext {
	state, _ := oteltrace.ParseTraceState(c.State) // the zero state if it cannot be
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: c.TraceID, SpanID: c.SpanID, TraceFlags: oteltrace.TraceFlags(c.Flags), TraceState: state,
	})
}

// FromSpanContext translates the context of a span of OpenTelemetry.
func FromSpanContext(c oteltrace.SpanContext) trace.Context {
	return trace.Context{
		TraceID: c.TraceID(), SpanID: c.SpanID(), Flags: trace.Flags(c.TraceFlags()) & (trace.Sampled | trace.Random),
		State: c.TraceState().String(),
	}
}
