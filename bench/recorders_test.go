package bench

import (
	"context"
	"io"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/otel"
	"github.com/penstock-go/penstock/metrics/prometheus"
	"github.com/penstock-go/penstock/metrics/statsd"
	"github.com/penstock-go/penstock/stage"
)

// nowhere is a StatsD server that reads nothing.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// BenchmarkRecorders is one use of a counter, a gauge and a timer of each recorder, by one
// goroutine and by all processors.
func BenchmarkRecorders(b *testing.B) {
	sent := stage.Must(statsd.New(statsd.Config{Dial: func(context.Context) (io.WriteCloser, error) { return nowhere{io.Discard}, nil }}))
	defer sent.Close(context.Background())
	tag := metrics.Tag{Key: "stage", Value: "users"}
	for _, r := range []struct {
		name string
		metrics.Recorder
	}{
		{"nop", metrics.Nop()},
		{"statsd", sent},
		{"prometheus", stage.Must(prometheus.New(prometheus.Config{}))},
		{"prometheus-native", stage.Must(prometheus.New(prometheus.Config{NativeHistograms: true}))},
		{"otel", stage.Must(otel.New(otel.Config{Provider: sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))}))},
	} {
		c, g, t := r.Counter("stage.events", tag), r.Gauge("stage.buffered", tag), r.Timer("pipeline.handling_time", tag)
		for _, use := range []struct {
			name string
			f    func()
		}{
			{"Add", func() { c.Add(1) }},
			{"Set", func() { g.Set(1) }},
			{"Observe", func() { t.Observe(time.Millisecond) }},
		} {
			b.Run(use.name+"/"+r.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					use.f()
				}
			})
			b.Run(use.name+"/"+r.name+"/parallel", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						use.f()
					}
				})
			})
		}
	}
}
