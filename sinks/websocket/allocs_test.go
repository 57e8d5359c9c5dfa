//go:build !race

package websocket

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The race detector makes sync.Pool forget at random: hence the build tag.

// TestADeliveryAllocatesNothing pins the cost of a broadcast that is not
// intercepted: it depends on the message and not on the number of receivers.
func TestADeliveryAllocatesNothing(t *testing.T) {
	e, m := endpointForTest(t)
	allocs := func(receivers int) float64 {
		total := 0
		for range receivers {
			_, k := joinedChannel(t, e, m, HandlerFunc(nil))
			defer func() { total += k.n }()
		}
		payload := json.RawMessage(`{"text":"hello"}`)
		return testing.AllocsPerRun(100, func() {
			if _, err := e.Broadcast(t.Context(), "room:a", "e", payload); err != nil {
				t.Fatal(err)
			}
		})
	}
	few := allocs(10)
	many := allocs(1000) // the ten are there as well
	if many-few > 1 || few > 5 {
		t.Errorf("%v allocations for 10 receivers, %v for 1010", few, many)
	}
}

// TestAReplyAllocatesNothing: the frame of a reply is used again once it is written.
func TestAReplyAllocatesNothing(t *testing.T) {
	e, m := endpointForTest(t)
	ch, k := joinedChannel(t, e, m, HandlerFunc(nil))
	var got string
	k.saw = func(it *item) {
		message, _ := body(it.wire)
		if string(message) != got {
			t.Fatalf("sent %s, want %s", message, got)
		}
	}
	short := OK(Payload{Data: []byte(`{"text":"hello"}`)})
	ref := codec.RefOf("2")
	reply := func(r Reply, want string) {
		got = want
		if err := ch.reply(ref, r); err != nil {
			t.Fatal(err)
		}
	}
	shortReply := func() {
		reply(short, `["1","2","room:a","phx_reply",{"response":{"text":"hello"},"status":"ok"}]`)
	}
	if n := testing.AllocsPerRun(100, shortReply); n > 0 {
		t.Errorf("%v allocations", n)
	}
	// A long one needs a buffer of its own, which is not kept.
	long := strings.Repeat("x", 2*maxReplyBuffer)
	reply(OK(Payload{Data: []byte(`{"text":"` + long + `"}`)}), `["1","2","room:a","phx_reply",{"response":{"text":"`+long+`"},"status":"ok"}]`)
	shortReply()
}
