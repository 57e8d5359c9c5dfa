package pubsub

import (
	"bytes"
	"context"
	"testing"

	"github.com/penstock-go/penstock/trace"
)

// TestTraceOfADelivery: a sampled context reaches the subscribers, and goes between nodes; one
// that is not sampled does not.
func TestTraceOfADelivery(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	c = c.WithState("a=1")
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var got []trace.Context
	spans := 0
	sub, err := h.Subscribe("a", SubscriberFunc(func(m *Message) bool {
		got = append(got, m.TraceContext())
		for m.Traced() {
			spans++
		}
		m.Tally().Refuse(ErrFull)
		return false
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	unsampled := c
	unsampled.Flags = 0
	for _, ctx := range []context.Context{t.Context(), trace.NewContext(t.Context(), unsampled), trace.NewContext(t.Context(), c)} {
		if err := h.Deliver(ctx, "a", "e", nil, func(Report) {}); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || got[0].IsValid() || got[1].IsValid() || got[2] != c || spans != maxTraced {
		t.Errorf("%v, %d spans", got, spans)
	}

	m := &Message{Topic: "a", Event: "e", Payload: Payload{Data: []byte("{}")}, more: &more{wire: wire{kind: kindDelivery, origin: "n", id: 7, trace: c}}}
	text := m.Append(nil)
	back, err := Decode(text)
	if err != nil || back.TraceContext() != c || !bytes.Equal(back.Append(nil), text) {
		t.Errorf("%v %v", back, err)
	}
	m.more.wire.trace = unsampled
	if back, err = Decode(m.Append(nil)); err != nil || back.TraceContext().IsValid() {
		t.Errorf("%v %v", back, err)
	}
	// Cut off within the trace.
	if _, err := Decode(text[:len(text)-len("{}")-2]); err == nil {
		t.Error("a message that ends in its trace is read")
	}
}
