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

// TestTraceOfABroadcast: a broadcast carries its sampled context, also one to the own node.
func TestTraceOfABroadcast(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	ctx := trace.NewContext(t.Context(), c)
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var got []trace.Context
	sub, err := h.Subscribe("a", SubscriberFunc(func(m *Message) bool {
		got = append(got, m.TraceContext())
		return true
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	for name, send := range map[string]func() (int, error){
		"Broadcast":       func() (int, error) { return h.Broadcast(ctx, "a", "e", nil) },
		"DirectBroadcast": func() (int, error) { return h.DirectBroadcast(ctx, h.Node(), "a", "e", nil) },
	} {
		got = nil
		if n, err := send(); n != 1 || err != nil || len(got) != 1 || got[0] != c {
			t.Errorf("%s: %d %v, contexts %v", name, n, err, got)
		}
	}
}

// TestAfterDispatch: what follows a dispatch runs once, when all subscribers were offered the
// message, also if one of them panics.
func TestAfterDispatch(t *testing.T) {
	c, _ := trace.Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	ctx := trace.NewContext(t.Context(), c)
	for _, panics := range []bool{false, true} {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		offered, after := 0, 0
		for range 3 {
			sub, err := h.Subscribe("a", SubscriberFunc(func(m *Message) bool {
				if offered++; offered == 1 {
					m.AfterDispatch(func() {
						if after++; offered != 3 {
							t.Errorf("called after %d of 3", offered)
						}
					})
					if panics {
						panic("no")
					}
				}
				return true
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Unsubscribe()
		}
		func() {
			defer func() {
				if p := recover(); (p != nil) != panics {
					t.Errorf("panic %v", p)
				}
			}()
			_, _ = h.Broadcast(ctx, "a", "e", nil)
		}()
		if offered != 3 || after != 1 {
			t.Errorf("panics %v: %d offered, %d calls", panics, offered, after)
		}
	}
}
