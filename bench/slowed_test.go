package bench

import (
	"os"
	"time"
)

// slowed is ours, or with PENSTOCK_SLOWED set twice the work in place of once: with it the
// guard of bench/limits shows that it sees such a fall.
func slowed(ours func(n int) time.Duration) func(n int) time.Duration {
	if os.Getenv("PENSTOCK_SLOWED") == "" {
		return ours
	}
	return func(n int) time.Duration { return ours(n) + ours(n) }
}
