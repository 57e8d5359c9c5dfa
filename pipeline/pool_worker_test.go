package pipeline

import (
	"math"
	"testing"
	"time"
)

// TestGrace: an attempt has a tenth more than its timeout, and the longest there is for the
// longest timeouts.
func TestGrace(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		time.Second: 1100 * time.Millisecond, math.MaxInt64 / 2: math.MaxInt64/2 + math.MaxInt64/20,
		math.MaxInt64 - 1: math.MaxInt64, math.MaxInt64: math.MaxInt64,
	} {
		if got := grace(timeout); got != want {
			t.Errorf("%v of %v, want %v", got, timeout, want)
		}
	}
}
