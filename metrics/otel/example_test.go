package otel_test

import (
	"context"
	"fmt"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/otel"
)

func ExampleNew() {
	reader := sdk.NewManualReader() // in a program: a periodic reader with an OTLP exporter
	recorder, err := otel.New(otel.Config{Provider: sdk.NewMeterProvider(sdk.WithReader(reader))})
	if err != nil {
		fmt.Println(err)
		return
	}
	recorder.Counter("channel_join", metrics.Tag{Key: "status", Value: "success"}).Add(2)
	recorder.Timer("pipeline.push_delivered").Observe(1500 * time.Microsecond)

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			fmt.Println(m.Name, m.Unit, data.DataPoints[0].Value)
		case metricdata.Histogram[float64]:
			fmt.Println(m.Name, m.Unit, data.DataPoints[0].Count, data.DataPoints[0].Sum)
		}
	}
	// Unordered output:
	// penstock.metrics.refused {use} 0
	// penstock.channel_join {join} 2
	// penstock.pipeline.push_delivered s 1 0.0015
}
