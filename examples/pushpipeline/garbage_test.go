package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for _, c := range []struct {
		floor, live uint64
		want        int
	}{
		{64 << 20, 0, 1600}, {64 << 20, 4 << 20, 1600}, {64 << 20, 32 << 20, 200}, {64 << 20, 64 << 20, 100}, {64 << 20, 1 << 30, 100}, {1 << 20, 1 << 20, 100},
	} {
		if got := percentFor(c.floor, c.live); got != c.want {
			t.Errorf("a floor of %d with %d alive: %d %%, want %d", c.floor, c.live, got, c.want)
		}
	}
}

// TestGarbageIsAllowedAndEnds looks at the percentage, which is the whole process's.
func TestGarbageIsAllowedAndEnds(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set, which takes precedence")
	}
	percent := func() int {
		now := debug.SetGCPercent(startPercent)
		debug.SetGCPercent(now)
		return now
	}
	end := allowGarbage(64)
	if got := percent(); got <= startPercent {
		t.Errorf("%d %%, want more", got)
	}
	runtime.GC() // has a finalizer run
	end()
	if got := percent(); got != startPercent {
		t.Errorf("%d %% after the end", got)
	}
	allowGarbage(0)()
	if got := percent(); got != startPercent {
		t.Errorf("%d %% without a floor", got)
	}
}
