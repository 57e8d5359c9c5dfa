package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for _, c := range []struct {
		floor, base uint64
		want        int
	}{
		{64 << 20, 0, 1600}, {64 << 20, 4 << 20, 1600}, {64 << 20, 32 << 20, 200}, {64 << 20, 64 << 20, 100}, {64 << 20, 1 << 30, 100}, {1 << 20, 1 << 20, 100},
	} {
		if got := percentFor(c.floor, c.base); got != c.want {
			t.Errorf("a floor of %d of %d bytes: %d %%, want %d", c.floor, c.base, got, c.want)
		}
	}
}

// gcPercent reads the percentage, which is the whole process's.
func gcPercent() int {
	set := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(set)
	return int(set[0].Value.Uint64())
}

// allowGarbageIn is allowGarbage in a process without GOGC.
func allowGarbageIn(t *testing.T, mib int) (end func()) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set, which takes precedence")
	}
	return allowGarbage(mib)
}

// TestGarbageIsAllowedAndEnds: the percentage follows what is alive after each collection.
func TestGarbageIsAllowedAndEnds(t *testing.T) {
	eventually(t, patience, "the end of what other tests have left", func() bool {
		runtime.GC()
		alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(alive)
		return alive[0].Value.Uint64() < 32<<20
	})
	end := allowGarbageIn(t, 64)
	if got := gcPercent(); got <= startPercent {
		t.Errorf("%d %%, want more", got)
	}
	alive := make([]byte, 128<<20) // never written to, so that it takes no memory
	eventually(t, patience, "the runtime's own percentage", func() bool {
		runtime.GC()
		return gcPercent() == startPercent
	})
	runtime.KeepAlive(alive)
	alive = nil
	eventually(t, patience, "more again", func() bool {
		runtime.GC()
		return gcPercent() > startPercent
	})
	end()
	if got := gcPercent(); got != startPercent {
		t.Errorf("%d %% after the end", got)
	}
	allowGarbage(0)()
	if got := gcPercent(); got != startPercent {
		t.Errorf("%d %% without a floor", got)
	}
}

// TestGarbageCountsStacks: goroutines with large stacks count as what is alive does, since
// the runtime takes the percentage of both.
func TestGarbageCountsStacks(t *testing.T) {
	end := allowGarbageIn(t, 256)
	defer end()
	var grown, over sync.WaitGroup
	release := make(chan struct{})
	for range 256 {
		grown.Add(1)
		over.Go(func() { onALargeStack(func() { grown.Done(); <-release }) })
	}
	grown.Wait()
	runtime.GC()
	// 50 MiB of stacks, and the little that is alive: 512 % of them at the most.
	eventually(t, patience, "a lower percentage", func() bool { return gcPercent() <= 512*5/4 })
	close(release)
	over.Wait()
}

// onALargeStack calls f with 200 KiB on the stack.
//
//go:noinline
func onALargeStack(f func()) {
	var room [200 << 10]byte
	room[len(room)/2] = 1
	f()
	runtime.KeepAlive(&room)
}
