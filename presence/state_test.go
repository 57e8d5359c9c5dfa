package presence

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// A meta that was taken from Get carries the refs that it had. Only the new ones
// may be in what is encoded: a client takes the last value of a name.
func TestEncodeMetaReplacesRefs(t *testing.T) {
	for meta, want := range map[string]string{
		`{"phx_ref":"old","phx_ref_prev":"older","device":"web"}`: `{"phx_ref":"new","phx_ref_prev":"old","device":"web"}`,
		`{"phx_ref":"old"}`:                         `{"phx_ref":"new","phx_ref_prev":"old"}`,
		`{"device":"web"}`:                          `{"phx_ref":"new","phx_ref_prev":"old","device":"web"}`,
		`{"text":"\"phx_ref\"","at":{"phx_ref":1}}`: `{"phx_ref":"new","phx_ref_prev":"old","text":"\"phx_ref\"","at":{"phx_ref":1}}`,
		`{"phx\u005fref":"old","b":1,"phx_ref":"older","phx_ref":"oldest","a":2}`: `{"phx_ref":"new","phx_ref_prev":"old","b":1,"a":2}`,
		" {\n} ": `{"phx_ref":"new","phx_ref_prev":"old"}`,
		`null`:   `{"phx_ref":"new","phx_ref_prev":"old"}`,
	} {
		got, err := encodeMeta(json.RawMessage(meta), "new", "old")
		if err != nil || string(got) != want {
			t.Errorf("encodeMeta(%s) = %s, %v; want %s", meta, got, err, want)
		}
	}
}

func TestEncodeMetaRefusesWhatNoClientCanRead(t *testing.T) {
	for _, meta := range []any{
		json.RawMessage("{\"a\":\"\xff\"}"), json.RawMessage(`{"a":`), json.RawMessage(`{}{}`), pubsub.Binary("{}"),
		pubsub.Payload{Data: []byte(`{"a":`)}, []int{1}, math.NaN(), "text",
	} {
		if got, err := encodeMeta(meta, "new", ""); err == nil {
			t.Errorf("encodeMeta(%v) = %s, want an error", meta, got)
		}
	}
	if got, err := encodeMeta(pubsub.Payload{Data: []byte(`{ "a": 1 }`)}, "new", ""); err != nil || string(got) != `{"phx_ref":"new","a":1}` {
		t.Errorf("a payload: %s, %v", got, err)
	}
}
