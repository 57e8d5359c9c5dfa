//go:build !race

package websocket

import (
	"encoding/json"
	"testing"
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
