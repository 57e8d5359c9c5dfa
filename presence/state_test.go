package presence

import (
	"encoding/json"
	"testing"
)

// A meta that was taken from Get carries the refs that it had. Only the new ones
// may be in what is encoded: a client takes the last value of a name.
func TestEncodeMetaReplacesRefs(t *testing.T) {
	for meta, want := range map[string]string{
		`{"phx_ref":"old","phx_ref_prev":"older","device":"web"}`: `{"phx_ref":"new","phx_ref_prev":"old","device":"web"}`,
		`{"phx_ref":"old"}`:                         `{"phx_ref":"new","phx_ref_prev":"old"}`,
		`{"device":"web"}`:                          `{"phx_ref":"new","phx_ref_prev":"old","device":"web"}`,
		`{"text":"\"phx_ref\"","at":{"phx_ref":1}}`: `{"phx_ref":"new","phx_ref_prev":"old","at":{"phx_ref":1},"text":"\"phx_ref\""}`,
		`null`: `{"phx_ref":"new","phx_ref_prev":"old"}`,
	} {
		got, err := encodeMeta(json.RawMessage(meta), "new", "old")
		if err != nil || string(got) != want {
			t.Errorf("encodeMeta(%s) = %s, %v; want %s", meta, got, err, want)
		}
	}
}
