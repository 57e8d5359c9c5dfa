package pubsub_test

import (
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

func TestAWatchReportsChangesOfItsTopic(t *testing.T) {
	h := newHub(t, pubsub.Config{Shards: 1})
	calls := 0
	w := h.Watch("t", func() { calls++ })
	other := h.Watch("t", func() {})
	expect := func(what string, n int) {
		t.Helper()
		if calls != n {
			t.Errorf("%s: called %d times, want %d", what, calls, n)
		}
		calls = 0
	}
	taker := pubsub.SubscriberFunc(func(*pubsub.Message) bool { return true })
	first, err := h.Subscribe("t", taker)
	if err != nil {
		t.Fatal(err)
	}
	expect("first subscription", 1)
	if _, err := h.Subscribe("t", taker); err != nil {
		t.Fatal(err)
	}
	expect("second subscription", 1)
	if _, err := h.Subscribe("u", taker); err != nil {
		t.Fatal(err)
	}
	h.HasRoom("u")
	expect("another topic", 0)
	first.Unsubscribe()
	expect("end of a subscription", 1)
	first.Unsubscribe()
	expect("the same end again", 0)
	h.HasRoom("t")
	expect("room", 1)
	w.Stop()
	w.Stop()
	h.HasRoom("t")
	expect("stopped", 0)
	if n := h.Watches(); n != 1 {
		t.Errorf("%d watches, want 1", n)
	}
	other.Stop()
	if n := h.Watches(); n != 0 {
		t.Errorf("%d watches, want 0", n)
	}
}
