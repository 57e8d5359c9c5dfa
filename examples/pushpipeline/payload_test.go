package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pubsub"
)

// TestPayload compares what clients get with what an encoder makes of the same.
func TestPayload(t *testing.T) {
	type framed struct {
		Data   json.RawMessage `json:"data"`
		At     float64         `json:"at"`
		Seq    uint64          `json:"seq"`
		Origin string          `json:"origin"`
	}
	for _, p := range []push{
		{Data: json.RawMessage(`{}`)},
		{Data: json.RawMessage(`{"a":[1,2],"b":"c"}`), At: time.UnixMicro(1764366300123456), Seq: 7, Origin: "0123456789ab-2"},
		{Data: json.RawMessage(`{"a":1}`), At: time.UnixMicro(1764366300123000), Seq: 1<<64 - 1, Origin: `a "b" \c`},
		{Data: json.RawMessage(`{"a":1}`), At: time.UnixMicro(1764366300120005), Origin: "\x00é\xff" + strings.Repeat("x", 100)},
		{Data: json.RawMessage(`{"a":1}`), At: time.UnixMicro(1764366300120500)},
	} {
		v, err := payload(p)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := pubsub.Encode(v)
		if err != nil {
			t.Fatalf("%q: %v", v.(pubsub.Payload).Data, err)
		}
		var got framed
		if err := encoded.Decode(&got); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(framed{p.Data, float64(p.At.UnixMicro()) / 1000, p.Seq, p.Origin})
		if err != nil {
			t.Fatal(err)
		}
		var want framed
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if string(got.Data) != string(want.Data) || got.At != want.At || got.Seq != want.Seq || got.Origin != want.Origin {
			t.Errorf("got %s, want %s", encoded.Data, text)
		}
	}
}
