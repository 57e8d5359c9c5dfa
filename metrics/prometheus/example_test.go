package prometheus_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/prometheus"
)

func ExampleNew() {
	recorder, err := prometheus.New(prometheus.Config{Buckets: []time.Duration{time.Millisecond, time.Second}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler())

	recorder.Counter("channel_join", metrics.Tag{Key: "status", Value: "success"}, metrics.Tag{Key: "channel", Value: "room:*"}).Add(2)
	recorder.Timer("pipeline.push_delivered").Observe(1500 * time.Microsecond)
	recorder.Gauge("orders.open").Set(3) // a metric of the program

	// The server asks.
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(response.Body.String()) {
		if !strings.Contains(line, "penstock_metrics") && !strings.HasPrefix(line, "# HELP") {
			fmt.Print(line)
		}
	}
	// Output:
	// # TYPE orders_open gauge
	// orders_open 3
	// # TYPE penstock_channel_join_total counter
	// penstock_channel_join_total{channel="room:*",status="success"} 2
	// # TYPE penstock_pipeline_push_delivered_seconds histogram
	// penstock_pipeline_push_delivered_seconds_bucket{le="0.001"} 0
	// penstock_pipeline_push_delivered_seconds_bucket{le="1"} 1
	// penstock_pipeline_push_delivered_seconds_bucket{le="+Inf"} 1
	// penstock_pipeline_push_delivered_seconds_sum 0.0015
	// penstock_pipeline_push_delivered_seconds_count 1
}
