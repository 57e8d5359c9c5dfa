package pubsub

import (
	"runtime"
	"testing"
	"unsafe"
	"weak"
)

// TestSubscriptionsStaySmall pins what a topic of one user costs beside its entry in the map.
func TestSubscriptionsStaySmall(t *testing.T) {
	if size := unsafe.Sizeof(Subscription{}); size > 64 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a subscription has %d bytes, want 64 at most", size)
	}
}

// TestUnsubscribedIsForgotten: a topic does not keep its first subscription after that has
// ended, whatever came in between.
func TestUnsubscribedIsForgotten(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func() *Subscription {
		sub, err := h.Subscribe("a", SubscriberFunc(func(*Message) bool { return true }))
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	first := subscribe()
	gone := weak.Make(first)
	second := subscribe()
	first.Unsubscribe()
	first = nil
	for range 3 {
		runtime.GC()
	}
	if gone.Value() != nil {
		t.Error("the first subscription is still reachable")
	}
	second.Unsubscribe()
}
