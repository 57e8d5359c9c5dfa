package codec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// TestSenderOfARefusedMessageIsKnown: a message that has the form of the protocol
// and exceeds a limit is refused with its names, one without that form is not.
func TestSenderOfARefusedMessageIsKnown(t *testing.T) {
	deep := strings.Repeat("[", codec.DefaultDepth) + strings.Repeat("]", codec.DefaultDepth)
	for payload, want := range map[string]string{
		`{"text":"hi \ud83d"}`: "lone surrogate", `"\udc00"`: "lone surrogate", `"\ud83d\u0041"`: "lone surrogate",
		`"\ud83d\ud83d\ude00"`: "lone surrogate", `{"\ud83d":1}`: "lone surrogate",
		"\"\xff\"": "invalid UTF-8", "{\"a\xc0\x80\":1}": "invalid UTF-8",
		`{"a":1,"a":2}`: "duplicate key", `{"a":1,"\u0061":"\ud83d"}`: "duplicate key",
		"1e999999": "number out of range", deep: "nested too deep", strings.Repeat("[", 9999) + `"]"` + strings.Repeat("]", 9999): "nested too deep",
	} {
		for v, in := range map[codec.Version]string{
			codec.V2: `["1","2","room:a","ev",` + payload + `]`,
			codec.V1: `{"topic":"room:a","payload":` + payload + `,"event":"ev","ref":"2","join_ref":"1"}`,
		} {
			m, err := v.Decode([]byte(in), false, codec.DefaultDepth)
			detail, _ := errors.AsType[*codec.DecodeError](err)
			if detail == nil || !detail.WellFormed || detail.Reason != want {
				t.Errorf("%v %.60s: %+v, want %q, well formed", v, payload, detail, want)
			}
			if got := show(m); got != `"1" "2" "room:a" "ev" "" false` {
				t.Errorf("%v %.60s: %s", v, payload, got)
			}
		}
	}
	for in, want := range map[string]string{
		`["1","2","room:\ud83d","ev",{}]`:         `"1" "2" "room:` + "\ufffd" + `" "ev" "" false`,
		`["1","\ud83d","room:a","e\udc00v",{}]`:   `"1" "` + "\ufffd" + `" "room:a" "e` + "\ufffd" + `v" "" false`,
		"[null,\"\xff\",\"room:\xff\",\"ev\",{}]": ` "` + "\ufffd" + `" "room:` + "\ufffd" + `" "ev" "" false`,
	} {
		m, err := codec.V2.Decode([]byte(in), false, codec.DefaultDepth)
		if detail, _ := errors.AsType[*codec.DecodeError](err); detail == nil || !detail.WellFormed || show(m) != want {
			t.Errorf("%q: %s, %v", in, show(m), err)
		}
	}
	m, err := codec.V2.Decode([]byte("\x00\x01\x01\x01\x02"+"1"+"2"+"\xff"+"ev"+"data"), true, codec.DefaultDepth)
	if detail, _ := errors.AsType[*codec.DecodeError](err); detail == nil || !detail.WellFormed || m.Ref != codec.RefOf("2") || m.Payload != nil {
		t.Errorf("binary: %s, %v", show(m), err)
	}
	// Neither JSON nor of the form: no part of it is to be trusted.
	for _, in := range []string{
		`["1","2","room:a","ev","\ud83d"`, `["1","2","room:a","ev","\ud83d]`, `["1","2","room:a","ev",[1,1e999,]]`,
		`["1","2","room:a","ev",` + strings.Repeat("[", 60_000) + `]`, `["\ud83d","2","room:a"]`, `{"\ud83d":1}`,
		`["1","2","room:a","ev",` + strings.Repeat("[", 40) + `"]`, "\xff",
	} {
		m, err := codec.V2.Decode([]byte(in), false, codec.DefaultDepth)
		if detail, _ := errors.AsType[*codec.DecodeError](err); detail == nil || detail.WellFormed || show(m) != show(codec.Message{}) {
			t.Errorf("%.60s: %s, %v", in, show(m), err)
		}
	}
}

// TestLongestRef: a ref of 255 bytes fits into a binary reply, whatever its kind,
// and a longer one is refused with the ref itself.
func TestLongestRef(t *testing.T) {
	answer, err := codec.Encode(codec.Binary("data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{254, 255, 256, 257, 1000} {
		for kind, ref := range map[string]string{
			"string": `"` + strings.Repeat("r", n) + `"`, "number": strings.Repeat("9", n), "small number": "0." + strings.Repeat("1", n-2),
		} {
			if kind == "number" && n > 300 {
				continue // beyond a float64
			}
			m, err := codec.V2.Decode(fmt.Appendf(nil, `[%s,%s,"t","e",{}]`, ref, ref), false, codec.DefaultDepth)
			if string(m.Ref) != ref || string(m.JoinRef) != ref {
				t.Errorf("%s of %d: ref %.20s…, join ref %.20s…", kind, n, m.Ref, m.JoinRef)
			}
			if n > 255 {
				if detail, _ := errors.AsType[*codec.DecodeError](err); detail == nil || detail.Reason != "ref too long" || !detail.WellFormed {
					t.Errorf("%s of %d: %v", kind, n, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of %d: %v", kind, n, err)
			}
			if _, err := codec.V2.AppendReply(nil, m.JoinRef, m.Ref, "t", "ok", answer); err != nil {
				t.Errorf("%s of %d, binary reply: %v", kind, n, err)
			}
		}
	}
}
