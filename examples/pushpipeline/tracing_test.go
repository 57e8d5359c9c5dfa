package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/penstock-go/penstock/examples/internal/otlp/otlptest"
	"github.com/penstock-go/penstock/metrics/statsd/statsdserver"
)

// tree returns each span of a trace as its path of names from the span with which the trace
// came, and the attributes that tell spans of one name apart.
func tree(spans []*otlp.Span, root string) (paths []string) {
	byID := make(map[string]*otlp.Span)
	for _, s := range spans {
		byID[hex.EncodeToString(s.SpanId)] = s
	}
	for _, s := range spans {
		path := s.Name
		for _, a := range s.Attributes {
			switch a.Key {
			case "penstock.attempt":
				path += fmt.Sprintf(" %d", a.Value.GetIntValue())
			case "penstock.node":
				path += " at " + a.Value.GetStringValue()
			}
		}
		if s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
			path += " failed"
		}
		for parent := hex.EncodeToString(s.ParentSpanId); parent != root; {
			above := byID[parent]
			if above == nil {
				path = "? > " + path
				break
			}
			path, parent = above.Name+" > "+path, hex.EncodeToString(above.ParentSpanId)
		}
		paths = append(paths, path)
	}
	return paths
}

const (
	rootSpan   = "b7ad6b7169203331"
	traceByWeb = "0af7651916cd43dd8448eb211c80319c"
	traceByLog = "1bf7651916cd43dd8448eb211c80319d"
)

// pushTraced posts a push with a traceparent header.
func (r running) pushTraced(user, parent string) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.url("/push"), strings.NewReader(fmt.Sprintf(`{"user_id":%q,"data":{"n":1}}`, user)))
	if err != nil {
		r.t.Fatal(err)
	}
	if parent != "" {
		request.Header.Set("traceparent", parent)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		r.t.Fatalf("%d", response.StatusCode)
	}
}

// expectPush reads the next push of a client.
func (s *subscriber) expectPush() {
	s.t.Helper()
	if _, err := s.next(within(s.t, 20*time.Second)); err != nil {
		s.t.Fatal(err)
	}
}

// equalPaths compares the spans of a trace.
func equalPaths(t *testing.T, spans []*otlp.Span, want ...string) {
	t.Helper()
	if got := tree(spans, rootSpan); !slices.Equal(got, want) {
		t.Errorf("spans:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestATraceFromARequestToTheSocket: the spans of a push with a traceparent, from the request
// to the write, each below the right one. Those without a sampled header have none.
func TestATraceFromARequestToTheSocket(t *testing.T) {
	c := otlptest.New(t)
	a := start(t, c.Traces()...)
	user := a.join("1")
	for _, parent := range []string{
		"00-" + traceByWeb + "-" + rootSpan + "-01",
		"00-" + traceByLog + "-" + rootSpan + "-00", // not sampled
		"", "not a header",
	} {
		a.pushTraced("1", parent)
		user.expectPush()
	}
	user.conn.CloseNow()
	a.stop()
	a.close()
	spans := c.Trace(traceByWeb)
	equalPaths(t, spans,
		"POST /push",
		"POST /push > dispatch memory",
		"POST /push > handle sockets",
		"POST /push > handle sockets > deliver sockets 1",
		"POST /push > handle sockets > deliver sockets > websocket write at local",
	)
	if n := len(c.Spans()); n != len(spans) {
		t.Errorf("%d spans, of which %d are of the sampled request", n, len(spans))
	}
}

// TestATraceFromARecordToTheSocket: as from a request, but from a record's header.
func TestATraceFromARecordToTheSocket(t *testing.T) {
	c := otlptest.New(t)
	a := start(t, append(c.Traces(), "-source", "kafka")...)
	user := a.join("1")
	k := a.source.(*kafkaSource)
	client, err := kgo.NewClient(kgo.SeedBrokers(k.broker.Addrs()...), kgo.DefaultProduceTopic(k.topic.name))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.ProduceSync(within(t, patience), &kgo.Record{
		Key: []byte("1"), Value: []byte(`{"user_id":"1","data":{"n":1}}`),
		Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-" + traceByLog + "-" + rootSpan + "-01")}},
	}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	user.expectPush()
	a.pushTraced("1", "00-"+traceByWeb+"-"+rootSpan+"-01")
	user.expectPush()
	user.conn.CloseNow()
	a.stop()
	a.close()
	equalPaths(t, c.Trace(traceByLog),
		"dispatch kafka",
		"handle sockets",
		"handle sockets > deliver sockets 1",
		"handle sockets > deliver sockets > websocket write at local",
	)
	equalPaths(t, c.Trace(traceByWeb), // through a record that this program has written
		"POST /push",
		"POST /push > dispatch kafka",
		"POST /push > handle sockets",
		"POST /push > handle sockets > deliver sockets 1",
		"POST /push > handle sockets > deliver sockets > websocket write at local",
	)
}

// TestATraceThroughAnotherNodeAndRetries: the write at another node is in the same trace, and
// so is an attempt that has found no client.
func TestATraceThroughAnotherNodeAndRetries(t *testing.T) {
	c := otlptest.New(t)
	a, b := startPair(t, append(c.Traces(), "-grace", "20s")...)
	a.pushTraced("2", "00-"+traceByWeb+"-"+rootSpan+"-01")
	eventually(t, patience, "an attempt that finds no client", func() bool {
		return slices.ContainsFunc(a.statsd.Snapshot().Series, func(s statsdserver.Series) bool { return s.Name == "delivery.missed" && s.Value > 0 })
	})
	user := b.join("2")
	user.expectPush()
	user.conn.CloseNow()
	a.stop()
	b.stop()
	a.close()
	b.close()
	got := tree(c.Trace(traceByWeb), rootSpan)
	last := got[len(got)-1]
	if want := "POST /push > handle sockets > deliver sockets > websocket write at b"; last != want {
		t.Errorf("the last span is %q, want %q, of\n%s", last, want, strings.Join(got, "\n"))
	}
	if first := "POST /push > handle sockets > deliver sockets 1 failed"; !slices.Contains(got, first) {
		t.Errorf("no %q among\n%s", first, strings.Join(got, "\n"))
	}
}
