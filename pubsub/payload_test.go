package pubsub_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		in     any
		want   string
		object bool
	}{
		{nil, `{}`, true},
		{pubsub.Payload{Data: []byte("5")}, "5", false},
		{pubsub.Payload{Data: []byte("x"), Binary: true}, "x", true},
		{pubsub.Binary("x"), "x", true},
		{[]byte(" {\"a\":1}\n"), " {\"a\":1}\n", true},
		{json.RawMessage(`[1]`), `[1]`, false},
		{num{3}, `{"n":3}`, true},
		{"x", `"x"`, false},
	} {
		p, err := pubsub.Encode(c.in)
		if err != nil || string(p.Data) != c.want || p.IsObject() != c.object {
			t.Errorf("%v: %q %v %v", c.in, p.Data, p.IsObject(), err)
		}
	}
	for _, raw := range []any{json.RawMessage(nil), json.RawMessage{}, []byte(nil), []byte(""), pubsub.Payload{}} {
		p, err := pubsub.Encode(raw)
		if err != nil || string(p.Data) != "null" || p.IsObject() {
			t.Errorf("%#v: %q, %v, want null", raw, p.Data, err)
		}
	}
	// Text that is given as JSON is checked wherever it enters, UTF-8 included.
	for _, text := range []string{"{", `{"a":`, `{"a":1}{"b":2}`, "{}x", " ", `{"a":01}`, "{\"a\":\"\xff\"}", "{\"\xed\xa0\x80\":1}"} {
		raw := json.RawMessage(text)
		for _, v := range []any{raw, []byte(text), pubsub.Payload{Data: raw}, map[string]any{"x": raw}, struct{ P pubsub.Payload }{pubsub.Payload{Data: raw}}} {
			if p, err := pubsub.Encode(v); err == nil {
				t.Errorf("%T %q became %q", v, text, p.Data)
			}
		}
	}
	for _, bad := range []any{make(chan int), panics{}, []byte("{"), math.NaN(), map[string]any{"f": math.Inf(1)}, struct{ P pubsub.Payload }{pubsub.Payload{Binary: true}}} {
		if p, err := pubsub.Encode(bad); err == nil {
			t.Errorf("%v became %v", bad, p)
		}
	}
	if _, err := pubsub.Encode(json.RawMessage("{]")); !errors.Is(err, pubsub.ErrJSON) {
		t.Error(err)
	}
}

// TestSubscribersGetTheEncodedPayload: the payload is encoded once for all
// subscribers, and the caller may use its buffer again.
func TestSubscribersGetTheEncodedPayload(t *testing.T) {
	h := newHub(t, pubsub.Config{})
	var got []pubsub.Payload
	for range 2 {
		subscribe(t, h, "t", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
			got = append(got, m.Payload)
			return true
		}))
	}
	buffer := []byte(`{"n":1}`)
	for _, payload := range []any{buffer, json.RawMessage(buffer), pubsub.Binary(buffer), num{1}, pubsub.Payload{Data: slices.Clone(buffer)}} {
		send(t, h, "t", "e", payload)
	}
	copy(buffer, "XXXXXXX")
	for i, p := range got {
		if string(p.Data) != `{"n":1}` || &p.Data[0] != &got[i&^1].Data[0] || p.Binary != (i/2 == 2) {
			t.Errorf("%d: %v", i, p)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d deliveries", len(got))
	}
}
