package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// TestFiguresOfTheEndAreSent although connections and requests have taken all of the time
// of the end.
func TestFiguresOfTheEndAreSent(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	figures := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent.Add(1) }))
	defer figures.Close()
	a := start(t, "-drain", "10ms", "-otlp-metrics", figures.URL+"/v1/metrics")
	conn, err := net.Dial("tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// It is never finished, so that it takes the second that the connections have at the end.
	if _, err := io.WriteString(conn, "POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, _ = a.end() // the request is cut off
	if took := time.Since(begin); sent.Load() == 0 || took > soon {
		t.Errorf("%d requests with figures, after %v", sent.Load(), took)
	}
}

// TestFlushIsBounded: what does not respond is waited for side by side, and not for ever.
func TestFlushIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		closed, kept := 0, &lines{}
		a := &app{
			log:      slog.New(slog.NewTextHandler(kept, nil)),
			flushers: []func(context.Context) error{silent, silent, func(context.Context) error { return errors.New("refused") }},
			closers:  []func(context.Context){func(ctx context.Context) { closed++; _ = silent(ctx) }},
		}
		begin := time.Now()
		a.flush(t.Context(), flushGrace)
		if took := time.Since(begin); took != flushGrace || closed != 1 {
			t.Errorf("it took %v, want %v; %d recorders were closed", took, flushGrace, closed)
		}
		if n := kept.count("not sent"); n != 3 {
			t.Errorf("%d lines, want one for each that failed", n)
		}
		a.flush(t.Context(), flushGrace) // has nothing left to do
		if closed != 1 {
			t.Error("a recorder was closed twice")
		}
	})
}
