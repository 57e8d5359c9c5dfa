package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/trace"
)

// TraceContext returns the W3C trace context in a record's headers, zero if there is none that
// can be read. A Decode puts it into the event, whose type then implements trace.Carrier. A
// header is a wish of the program that has written the record: where that is not trusted,
// Decode leaves the context out. It does not allocate unless there is a tracestate.
func TraceContext(r *kgo.Record) trace.Context {
	var c trace.Context
	var state []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case trace.ParentHeader:
			c, _ = trace.Parse(h.Value)
		case trace.StateHeader:
			state = h.Value
		}
	}
	if len(state) > 0 && c.IsValid() {
		c = c.WithState(string(state))
	}
	return c
}

// SetTraceContext sets the headers of a record that carry a trace context on, in the place of
// those that it may have. A context that is not valid removes them.
func SetTraceContext(r *kgo.Record, c trace.Context) {
	// A copy: other records may have the same slice.
	kept := make([]kgo.RecordHeader, 0, len(r.Headers)+2)
	for _, h := range r.Headers {
		if h.Key != trace.ParentHeader && h.Key != trace.StateHeader {
			kept = append(kept, h)
		}
	}
	r.Headers = kept
	if !c.IsValid() {
		return
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: trace.ParentHeader, Value: c.Append(nil)})
	if c.State != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: trace.StateHeader, Value: []byte(c.State)})
	}
}

// carryOn puts the span of ctx into the headers of records that have no trace context.
func carryOn(ctx context.Context, records []*kgo.Record) {
	c := trace.FromContext(ctx)
	if !c.IsValid() {
		return
	}
	for _, r := range records {
		if !slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == trace.ParentHeader }) {
			SetTraceContext(r, c)
		}
	}
}
