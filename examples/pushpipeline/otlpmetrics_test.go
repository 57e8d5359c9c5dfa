package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// TestFiguresForACollector: the figures of a push come to a collector with their units, those
// of its latency with the trace as an exemplar, and as what has come since the last time.
func TestFiguresForACollector(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]*otlp.Metric)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportMetricsServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/metrics" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range request.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					got[m.Name] = m
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	spans := newCollector(t)
	a := start(t, append(spans.args(), "-otlp-metrics", server.URL+"/v1/metrics")...)
	user := a.join("1")
	a.pushTraced("1", "00-"+traceByWeb+"-"+rootSpan+"-01")
	user.expectPush()
	user.conn.CloseNow()
	a.stop()
	a.close()
	mu.Lock()
	defer mu.Unlock()
	if m := got["penstock.stage.events"]; m == nil || m.Unit != "{event}" || m.GetSum() == nil {
		t.Errorf("%v", m)
	}
	m := got["penstock.pipeline.push_delivered"]
	h := m.GetHistogram()
	if h == nil || m.Unit != "s" || h.AggregationTemporality != otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Fatalf("%v", m)
	}
	if p := h.DataPoints[0]; p.GetCount() != 1 || len(p.Exemplars) != 1 || len(p.Exemplars[0].TraceId) != 16 {
		t.Errorf("%v", p)
	}
}
