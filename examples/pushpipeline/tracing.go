package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	gotel "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/otel"
)

// TraceContext implements trace.Carrier.
func (p push) TraceContext() trace.Context { return p.trace }

// openTracing makes what sends spans to the collector of -otlp.
func (a *app) openTracing() error {
	if a.cfg.OTLP == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(a.cfg.OTLP))
	if err != nil {
		return fmt.Errorf("-otlp: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(a.cfg.TraceSample))),
		sdktrace.WithResource(a.resource()),
	)
	a.handleOTLP()
	a.flushers = append(a.flushers, func(ctx context.Context) error {
		err := provider.Shutdown(ctx)
		// Its goroutine would go on with a request that takes too long.
		return errors.Join(err, exporter.Shutdown(ctx))
	})
	a.tracer, err = otel.New(otel.Config{Provider: provider})
	return err
}

// resource names this process to collectors.
func (a *app) resource() *resource.Resource {
	return resource.NewSchemaless(attribute.String("service.name", "pushpipeline"), attribute.String("service.instance.id", newOrigin()))
}

// handleOTLP logs what cannot be sent to a collector. It is lost, and is no reason to stop. The
// SDK has one handler for the whole process.
func (a *app) handleOTLP() {
	var lost logLimit
	var mu sync.Mutex // guards lost
	gotel.SetErrorHandler(gotel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		more, ok := lost.allow(time.Now())
		mu.Unlock()
		if ok {
			a.log.Warn("spans or figures were not sent", "error", err, "unlogged", more)
		}
	}))
}

// validateTracing returns why spans or figures cannot be sent as the options say.
func (c config) validateTracing() error {
	errs := []error{
		checkCollector("-otlp", c.OTLP, "http://localhost:4318/v1/traces"),
		checkCollector("-otlp-metrics", c.OTLPMetrics, "http://localhost:4318/v1/metrics"),
	}
	if !(c.TraceSample >= 0 && c.TraceSample <= 1) {
		errs = append(errs, fmt.Errorf("-trace-sample %v is not allowed: from 0 to 1", c.TraceSample))
	}
	return errors.Join(errs...)
}

// spanPush is the name of the span of a request.
const spanPush = "POST /push"

// beginSpan begins the span of a request with pushes, which carry it on. A request without a
// header is the first of a trace, if it is sampled. One whose header is not sampled has no
// span, and its pushes carry the header on as it is.
func (in *intake) beginSpan(r *http.Request, pushes []push) trace.Span {
	if in.tracer == nil {
		return trace.Nop(trace.Context{})
	}
	parent, err := trace.Parse(r.Header.Get(trace.ParentHeader))
	if err == nil {
		parent = parent.WithState(r.Header.Values(trace.StateHeader)...)
	}
	span := trace.Nop(parent)
	if parent.IsSampled() || !parent.IsValid() && in.sampleRoots {
		span = in.tracer.Start(parent, spanPush, trace.SpanConfig{
			Kind: trace.Server, Attrs: []trace.Attr{trace.Int("pushpipeline.pushes", len(pushes))},
		})
	}
	for i := range pushes {
		pushes[i].trace = span.Context()
	}
	return span
}

// endSpan ends the span of a request with its result.
func endSpan(s trace.Span, r result) {
	s.Set(trace.Int("http.response.status_code", r.status))
	var err error
	if r.status >= http.StatusInternalServerError {
		err = errors.New(r.fault)
	}
	s.End(time.Time{}, err)
}
