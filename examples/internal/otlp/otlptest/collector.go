// Package otlptest is a collector for the tests of the examples.
package otlptest

import (
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlpmetrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	otlpresource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector receives spans and figures by OTLP over HTTP, and keeps them.
type Collector struct {
	server *httptest.Server

	mu      sync.Mutex
	spans   []*otlptrace.Span
	metrics map[string]*otlpmetrics.Metric // the last of each name
	service string                         // of the last request
}

// New starts a collector until the end of the test. What cannot be decoded fails the test.
func New(t *testing.T) *Collector {
	c := &Collector{metrics: make(map[string]*otlpmetrics.Metric)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var request collectortrace.ExportTraceServiceRequest
		read(t, w, r, &request)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range request.ResourceSpans {
			c.service = serviceOf(resource.Resource)
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var request collectormetrics.ExportMetricsServiceRequest
		read(t, w, r, &request)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range request.ResourceMetrics {
			c.service = serviceOf(resource.Resource)
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					c.metrics[m.Name] = m
				}
			}
		}
	})
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request for %s", r.URL.Path) })
	c.server = httptest.NewServer(mux)
	t.Cleanup(c.server.Close)
	return c
}

// serviceOf returns the service.name of a resource.
func serviceOf(r *otlpresource.Resource) string {
	for _, a := range r.GetAttributes() {
		if a.Key == "service.name" {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// read decodes the body of a request.
func read(t *testing.T, w http.ResponseWriter, r *http.Request, into proto.Message) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, into)
	}
	if err != nil {
		t.Errorf("%s: %v", r.URL.Path, err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Traces are the options with which a process sends its spans here, and Metrics those for its
// figures.
func (c *Collector) Traces() []string { return []string{"-otlp", c.server.URL + "/v1/traces"} }

// Metrics is as Traces.
func (c *Collector) Metrics() []string {
	return []string{"-otlp-metrics", c.server.URL + "/v1/metrics"}
}

// Spans returns all spans.
func (c *Collector) Spans() []*otlptrace.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Trace returns the spans of a trace, in the order of their starts.
func (c *Collector) Trace(id string) []*otlptrace.Span {
	list := slices.DeleteFunc(c.Spans(), func(s *otlptrace.Span) bool { return hex.EncodeToString(s.TraceId) != id })
	slices.SortStableFunc(list, func(a, b *otlptrace.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	return list
}

// Figures returns the last figures of each name.
func (c *Collector) Figures() map[string]*otlpmetrics.Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.metrics)
}

// Service returns the service.name of the last request.
func (c *Collector) Service() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.service
}
