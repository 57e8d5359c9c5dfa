package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	gotel "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock-go/penstock/metrics"
	metricsotel "github.com/penstock-go/penstock/metrics/otel"
	"github.com/penstock-go/penstock/trace"
	traceotel "github.com/penstock-go/penstock/trace/otel"
)

// Sender sends spans and figures to collectors.
type Sender struct {
	Tracer   trace.Tracer     // nil without -otlp
	Recorder metrics.Recorder // nil without -otlp-metrics

	log  *slog.Logger
	stop []func(context.Context) error
}

// Open makes what the flags ask for. It waits for no collector. service and instance name this
// process to them. Shutdown must be called, also after an error.
func (f Flags) Open(service, instance string, log *slog.Logger) (*Sender, error) {
	s := &Sender{log: log}
	if f == (Flags{Sample: f.Sample}) {
		return s, nil
	}
	handleErrors(log)
	name := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.instance.id", instance))
	return s, errors.Join(s.openTraces(f, name), s.openMetrics(f, name))
}

// openTraces makes what sends spans to the collector of -otlp.
func (s *Sender) openTraces(f Flags, name *resource.Resource) error {
	if f.Traces == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(f.Traces))
	if err != nil {
		return fmt.Errorf("-otlp: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(f.Sample))),
		sdktrace.WithResource(name),
	)
	s.stop = append(s.stop, func(ctx context.Context) error {
		err := provider.Shutdown(ctx)
		// Its goroutine would go on with a request that takes too long.
		return errors.Join(err, exporter.Shutdown(ctx))
	})
	s.Tracer, err = traceotel.New(traceotel.Config{Provider: provider})
	return err
}

// openMetrics makes the recorder that sends figures to the collector of -otlp-metrics.
func (s *Sender) openMetrics(f Flags, name *resource.Resource) error {
	if f.Metrics == "" {
		return nil
	}
	exporter, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(f.Metrics), otlpmetrichttp.WithTemporalitySelector(temporality))
	if err != nil {
		return fmt.Errorf("-otlp-metrics: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(name))
	s.stop = append(s.stop, provider.Shutdown)
	s.Recorder, err = metricsotel.New(metricsotel.Config{Provider: provider, Logger: s.log})
	return err
}

// Shutdown sends what is left, side by side: a collector that does not respond, until ctx is
// done, delays no other. What is not sent is logged. It is idempotent.
func (s *Sender) Shutdown(ctx context.Context) {
	var sending sync.WaitGroup
	for _, stop := range s.stop {
		sending.Go(func() {
			if err := stop(ctx); err != nil {
				s.log.Warn("spans or figures of the end were not sent", "error", err)
			}
		})
	}
	sending.Wait()
	s.stop = nil
}

// temporality has histograms sent as what has come since the last time: the SDK then forgets
// those whose owners have ended.
func temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	if kind == sdkmetric.InstrumentKindHistogram {
		return metricdata.DeltaTemporality
	}
	return metricdata.CumulativeTemporality
}

// handleErrors logs what cannot be sent to a collector. It is lost, and is no reason to stop.
// The SDK has one handler for the whole process.
func handleErrors(log *slog.Logger) {
	var mu sync.Mutex
	var last time.Time // of a line, of which there is one a second at most
	leftOut := 0
	gotel.SetErrorHandler(gotel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if !last.IsZero() && now.Sub(last) < time.Second {
			leftOut++
			return
		}
		log.Warn("spans or figures were not sent", "error", err, "left_out", leftOut)
		last, leftOut = now, 0
	}))
}
