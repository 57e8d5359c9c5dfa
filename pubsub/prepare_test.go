package pubsub_test

import (
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// TestPrepareAndBegin pins that a prepared subscription gets nothing, is a sender
// that its history knows, and begins once.
func TestPrepareAndBegin(t *testing.T) {
	h, hub := newMemory(t, pubsub.MemoryConfig{})
	var r recorder
	sub, err := hub.Prepare("kept:a", &r)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := hub.BroadcastFrom(t.Context(), sub, "kept:a", "early", nil); n != 0 || err != nil || hub.Subscribers("kept:a") != 0 || sub.Topic() != "" {
		t.Errorf("taken by %d (%v), topic %q, before the beginning", n, err, sub.Topic())
	}
	sub.Begin()
	sub.Begin() // nothing more
	if n := hub.Subscribers("kept:a"); n != 1 || sub.Topic() != "kept:a" {
		t.Errorf("%d subscriptions of %q, want 1", n, sub.Topic())
	}
	send(t, hub, "kept:a", "late", nil)
	_, now, _ := h.Since(t.Context(), "kept:a", pubsub.Position{})
	records, _, err := h.Since(t.Context(), "kept:a", pubsub.Position{Epoch: now.Epoch})
	if err != nil || len(records) != 2 || !records[0].From(sub) || records[1].From(sub) {
		t.Errorf("%v, %v", records, err)
	}
	sub.Unsubscribe()
	sub.Begin() // over
	ended, err := hub.Prepare("kept:a", &r)
	if err != nil {
		t.Fatal(err)
	}
	ended.Unsubscribe()
	ended.Begin()
	if n := hub.Subscribers("kept:a"); n != 0 || hub.Topics() != 0 {
		t.Errorf("%d subscriptions after the end, %d topics", n, hub.Topics())
	}
	if _, err := hub.Prepare("kept:a", nil); err == nil {
		t.Error("a nil subscriber was taken")
	}
}
