package otel_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/otel"
)

// provider returns a provider of the SDK with a recorder of what has ended.
func provider(sampler sdktrace.Sampler) (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(recorder)), recorder
}

// TestSpansOfOpenTelemetry: all that a span has reaches the SDK.
func TestSpansOfOpenTelemetry(t *testing.T) {
	p, recorder := provider(sdktrace.ParentBased(sdktrace.NeverSample()))
	tracer, err := otel.New(otel.Config{Provider: p})
	if err != nil {
		t.Fatal(err)
	}
	parent, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	parent = parent.WithState("a=1,b=2")
	begin := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	s := tracer.Start(parent, "name", trace.SpanConfig{
		Kind: trace.Consumer, At: begin, Attrs: []trace.Attr{trace.String("s", "x"), trace.Int("n", 3), {Key: "b", Value: true}, {Key: "f", Value: 0.5}, {Key: "other", Value: t}},
		Links: []trace.Context{parent},
	})
	c := s.Context()
	if c.TraceID != parent.TraceID || c.SpanID == parent.SpanID || !c.IsSampled() || c.State != parent.State {
		t.Errorf("%v %q below %v", c, c.State, parent)
	}
	s.Set(trace.String("late", "y"))
	s.End(begin.Add(time.Second), errors.New("no"))
	s.End(time.Time{}, nil)
	ended := recorder.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans", len(ended))
	}
	got := ended[0]
	if got.Name() != "name" || got.SpanKind() != oteltrace.SpanKindConsumer || !got.StartTime().Equal(begin) || got.EndTime().Sub(begin) != time.Second ||
		got.Parent().SpanID() != oteltrace.SpanID(parent.SpanID) || len(got.Attributes()) != 5 || len(got.Links()) != 1 || got.Status().Description != "no" ||
		len(got.Events()) != 1 {
		t.Errorf("%+v", got)
	}
	if root := tracer.Start(trace.Context{}, "root", trace.SpanConfig{}); root.Context().IsSampled() {
		t.Error("the provider's sampler is not asked for a root")
	}
}

func ExampleNew() {
	// A program has an exporter here, such as otlptracehttp's, with sdktrace.WithBatcher.
	p := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
	tracer, err := otel.New(otel.Config{Provider: p})
	if err != nil {
		panic(err)
	}
	parent, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	span := tracer.Start(parent, "work", trace.SpanConfig{})
	fmt.Println(span.Context().IsSampled(), span.Context().TraceID == parent.TraceID)
	span.End(time.Time{}, nil)
	// Output: true true
}
