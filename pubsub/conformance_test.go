package pubsub_test

import (
	"testing"

	"github.com/penstock-go/penstock/pubsub"
)

// TestConformance holds the cases of pubsub, by the numbers of
// docs/conformance-channels.md.
func TestConformance(t *testing.T) {
	t.Run("P122_subscribe_and_unsubscribe", func(t *testing.T) {
		h := newHub(t, pubsub.Config{})
		var a, b recorder
		sub := subscribe(t, h, "t", &a)
		subscribe(t, h, "u", &b)
		send(t, h, "t", "e", num{1})
		sub.Unsubscribe()
		sub.Unsubscribe() // not there any more: nothing happens
		send(t, h, "t", "e", num{2})
		if a.String() != "[e1]" || b.String() != "[]" {
			t.Errorf("%s %s", &a, &b)
		}
	})
	t.Run("P123_broadcast_from_local_direct", TestWhoGetsWhat)
	t.Run("P124_direct_to_an_unknown_node", func(t *testing.T) {
		h := newHub(t, pubsub.Config{})
		subscribe(t, h, "t", &recorder{})
		if n, err := h.DirectBroadcast(t.Context(), "nowhere", "t", "e", num{1}); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("P125_own_dispatch", TestMemoAndFail)
	t.Run("P126_nodes", TestRemote)
}
