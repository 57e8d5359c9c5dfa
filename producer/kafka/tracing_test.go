package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/trace"
)

// TestTraceContextOfARecord: what is written is read, and comes once.
func TestTraceContextOfARecord(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("b")}}}
	if got := kafka.TraceContext(r); got != (trace.Context{}) {
		t.Errorf("without a header: %v", got)
	}
	kafka.SetTraceContext(r, trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{2}}.WithState("z=9"))
	kafka.SetTraceContext(r, c.WithState("x=1"))
	if got := kafka.TraceContext(r); got != c.WithState("x=1") || len(r.Headers) != 3 {
		t.Errorf("%v %q of %v", got, got.State, r.Headers)
	}
	kafka.SetTraceContext(r, trace.Context{})
	if len(r.Headers) != 1 || r.Headers[0].Key != "a" {
		t.Errorf("headers %v", r.Headers)
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "traceparent", Value: []byte("no")}, kgo.RecordHeader{Key: "tracestate", Value: []byte("x=1")})
	if got := kafka.TraceContext(r); got != (trace.Context{}) {
		t.Errorf("a wrong header: %v", got)
	}
}

// TestHeadersOfAnotherRecordStay: a record that has the headers of another one does not change
// them.
func TestHeadersOfAnotherRecordStay(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	in := &kgo.Record{}
	kafka.SetTraceContext(in, c)
	in.Headers = append(in.Headers, kgo.RecordHeader{Key: "a", Value: []byte("b")})
	out := &kgo.Record{Headers: in.Headers}
	kafka.SetTraceContext(out, trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{2}})
	if got := kafka.TraceContext(in); got != c || len(in.Headers) != 2 || in.Headers[1].Key != "a" {
		t.Errorf("%v of %v", got, in.Headers)
	}
}
