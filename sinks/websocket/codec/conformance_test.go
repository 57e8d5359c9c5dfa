package codec

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestConformance holds the cases of the serializers, by the numbers of
// docs/conformance-channels.md.
func TestConformance(t *testing.T) {
	one, two := RefOf("1"), RefOf("2")
	object := Payload{Data: []byte(`{"m":1}`)}
	raw := Payload{Data: []byte{1, 0, 255}, Binary: true}
	encodes := func(want string) func(t *testing.T, got []byte, err error) {
		return func(t *testing.T, got []byte, err error) {
			t.Helper()
			if string(got) != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	}
	t.Run("P28_message", func(t *testing.T) {
		got, err := V2.AppendMessage(nil, one, two, "t", "e", Payload{Data: []byte("{}")})
		encodes(`["1","2","t","e",{}]`)(t, got, err)
	})
	t.Run("P29_reply", func(t *testing.T) {
		got, err := V2.AppendReply(nil, one, two, "t", "ok", object)
		encodes(`["1","2","t","phx_reply",{"response":{"m":1},"status":"ok"}]`)(t, got, err)
	})
	t.Run("P30_broadcast", func(t *testing.T) {
		got, err := V2.AppendBroadcast(nil, "t", "e", object)
		encodes(`[null,null,"t","e",{"m":1}]`)(t, got, err)
	})
	t.Run("P32_decode_text", func(t *testing.T) {
		m, err := V2.Decode([]byte(`["1","2","t","e",{"m":1}]`), false, DefaultDepth)
		if err != nil || m.JoinRef != one || m.Ref != two || m.Topic != "t" || m.Event != "e" || string(m.Payload) != `{"m":1}` || m.Binary {
			t.Errorf("%+v %v", m, err)
		}
	})
	t.Run("P33_binary_push", func(t *testing.T) {
		got, err := V2.AppendMessage(nil, RefOf("12"), "", "top", "e", raw)
		encodes("\x00\x02\x03\x0112tope\x01\x00\xff")(t, got, err)
	})
	t.Run("P34_binary_reply", func(t *testing.T) {
		got, err := V2.AppendReply(nil, RefOf("12"), RefOf("345"), "t", "ok", raw)
		encodes("\x01\x02\x03\x01\x0212345tok\x01\x00\xff")(t, got, err)
	})
	t.Run("P35_binary_broadcast", func(t *testing.T) {
		got, err := V2.AppendBroadcast(nil, "top", "ev", raw)
		encodes("\x02\x03\x02topev\x01\x00\xff")(t, got, err)
	})
	t.Run("P37_binary_client_push", func(t *testing.T) {
		m, err := V2.Decode([]byte("\x00\x02\x03\x01\x0212345tev\x01\x00\xff"), true, DefaultDepth)
		if err != nil || m.JoinRef.Text() != "12" || m.Ref.Text() != "345" || m.Topic != "t" || m.Event != "ev" || string(m.Payload) != "\x01\x00\xff" || !m.Binary {
			t.Errorf("%+v %v", m, err)
		}
	})
	t.Run("P38_version_1_fields", func(t *testing.T) {
		got, err := V1.AppendMessage(nil, one, two, "t", "e", object)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(got, &fields); err != nil || len(fields) != 4 {
			t.Errorf("%s %v", got, err)
		}
		for _, name := range []string{"topic", "event", "payload", "ref"} {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s has no %s", got, name)
			}
		}
	})
	t.Run("P39_version_1_refuses", func(t *testing.T) {
		for _, text := range []string{`["1","1","t","e",{}]`, `{"event":"e","payload":{},"ref":"1"}`, `{"topic":"t","payload":{},"ref":"1"}`, `{"topic":"t","event":"e","payload":{}}`} {
			var bad *DecodeError
			if m, err := V1.Decode([]byte(text), false, DefaultDepth); !errors.As(err, &bad) {
				t.Errorf("%s: %+v %v", text, m, err)
			}
		}
	})
	t.Run("P40_lengths_are_bytes", func(t *testing.T) {
		got, err := V2.AppendBroadcast(nil, "tüp", "é", raw)
		encodes("\x02\x04\x02tüpé\x01\x00\xff")(t, got, err)
		m, err := V2.Decode([]byte("\x00\x01\x01\x04\x0211tüpé!"), true, DefaultDepth)
		if err != nil || m.Topic != "tüp" || m.Event != "é" || string(m.Payload) != "!" {
			t.Errorf("%+v %v", m, err)
		}
		if _, err := V2.AppendBroadcast(nil, strings.Repeat("ü", 128), "e", raw); !errors.Is(err, ErrFieldTooLong) {
			t.Errorf("256 bytes: %v", err)
		}
	})
}
