package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/penstock-go/penstock/examples/internal/otlp/otlptest"
)

// TestFiguresForACollector: the figures of a push come to a collector with their units, those
// of its latency with the trace as an exemplar, and as what has come since the last time.
func TestFiguresForACollector(t *testing.T) {
	c := otlptest.New(t)
	a := start(t, append(c.Traces(), c.Metrics()...)...)
	user := a.join("1")
	a.pushTraced("1", "00-"+traceByWeb+"-"+rootSpan+"-01")
	user.expectPush()
	user.conn.CloseNow()
	a.stop()
	a.close()
	got := c.Figures()
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
		silent := func(ctx context.Context) { <-ctx.Done() }
		closed := 0
		a := &app{
			flushers: []func(context.Context){silent, silent},
			closers:  []func(context.Context){func(ctx context.Context) { closed++; silent(ctx) }},
		}
		begin := time.Now()
		a.flush(t.Context(), flushGrace)
		if took := time.Since(begin); took != flushGrace || closed != 1 {
			t.Errorf("it took %v, want %v; %d recorders were closed", took, flushGrace, closed)
		}
		a.flush(t.Context(), flushGrace) // has nothing left to do
		if closed != 1 {
			t.Error("a recorder was closed twice")
		}
	})
}
