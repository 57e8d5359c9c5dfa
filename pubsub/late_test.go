package pubsub

import (
	"testing"
	"time"
)

// TestAges is a table of messages: when they were sent and handled, by clocks that differ.
func TestAges(t *testing.T) {
	zero := time.Unix(1_000_000, 0)
	at := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	var a ages
	for _, c := range []struct {
		name      string
		origin    string
		sent, now float64
		certain   bool
		want      float64
	}{
		{"the first one", "b", 100, 7, false, 0},
		{"as quick as that", "b", 101, 8, false, 0},
		{"slower", "b", 102, 9.5, false, 0.5},
		{"quicker than ever", "b", 104, 10.75, false, 0},
		{"slower than that", "b", 105, 12, false, 0.25},
		{"of another node", "c", 1, 12, false, 0},
		{"after a stall", "b", 106, 20, false, 7.25},
		{"which is over", "b", 114, 20.75, false, 0},
		{"the clock there was set back", "b", 10, 21.75, false, 105},
		{"and is known", "b", 11, 22.75, true, 0},
		{"from then on", "b", 12, 24, false, 0.25},
		{"the clock there was set forward", "b", 500, 25, false, 0},
	} {
		if got := a.of(c.origin, at(c.sent), at(c.now), c.certain); got != time.Duration(c.want*float64(time.Second)) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for range 2 * maxAges {
		a.of(string(rune('0'+len(a.offset))), zero, zero, false)
	}
	if len(a.offset) > maxAges {
		t.Errorf("%d origins are known", len(a.offset))
	}
}
