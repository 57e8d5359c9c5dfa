package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/trace"
)

// TestRecordsCarryTracesOn: those that a writer gets with a span in its context, and letters.
func TestRecordsCarryTracesOn(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	other := c
	other.SpanID[0]++
	bare, own := &kgo.Record{}, &kgo.Record{}
	SetTraceContext(own, other)
	carryOn(t.Context(), []*kgo.Record{bare})
	if len(bare.Headers) > 0 {
		t.Errorf("without a span: %v", bare.Headers)
	}
	carryOn(trace.NewContext(t.Context(), c), []*kgo.Record{bare, own})
	if TraceContext(bare) != c || TraceContext(own) != other {
		t.Errorf("%v and %v", TraceContext(bare), TraceContext(own))
	}
	letter := deadletter.Letter{Stage: "s", Trace: c}
	letter.SetBytes([]byte("{}"))
	if got := LetterOf(letterRecord(letter)); got.Trace != c {
		t.Errorf("a letter comes back with %v", got.Trace)
	}
}
