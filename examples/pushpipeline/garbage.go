package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// garbage lets as much garbage gather between two collections as -gc-floor-mib says, where
// the runtime would collect as often as the heap doubles: a small heap many times a second.
// It sets the runtime's percentage after each collection, which is the program's business
// and not that of a library.
type garbage struct {
	floor uint64 // bytes

	mu      sync.Mutex // guards the fields below
	over    bool
	percent int // that is set
}

// startPercent is what the runtime begins with.
const startPercent = 100

// allowGarbage begins with a floor of so many MiB, and returns what ends it. A floor of 0,
// and one in an environment that has GOGC, leaves the runtime as it is.
func allowGarbage(mib int) (end func()) {
	if mib == 0 || os.Getenv("GOGC") != "" {
		return func() {}
	}
	g := &garbage{floor: uint64(mib) << 20, percent: startPercent}
	g.adjust()
	g.watch()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.over = true
		debug.SetGCPercent(startPercent)
	}
}

// watch adjusts after each collection. An object that nothing refers to is finalized then.
func (g *garbage) watch() {
	runtime.SetFinalizer(&[2]*garbage{g}, func(*[2]*garbage) {
		if g.adjust() {
			g.watch()
		}
	})
}

// adjust sets the percentage with which the floor is reached for what is alive. It reports
// false after the end.
func (g *garbage) adjust() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	// The percentage is of all three.
	scanned := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(scanned)
	var base uint64
	for _, s := range scanned {
		if s.Value.Kind() != metrics.KindUint64 {
			return false // a later version of Go
		}
		base += s.Value.Uint64()
	}
	percent := percentFor(g.floor, base)
	// Each change stops the world for a moment.
	if percent > g.percent*5/4 || percent < g.percent*4/5 || percent == startPercent && g.percent != percent {
		g.percent = percent
		debug.SetGCPercent(percent)
	}
	return true
}

// leastHeap is about what the runtime begins to collect at.
const leastHeap = 4 << 20

// percentFor returns the percentage at which floor bytes of garbage gather. base is what the
// runtime takes the percentage of: the bytes alive, of stacks and of globals.
func percentFor(floor, base uint64) int {
	return int(max(startPercent, 100*floor/max(base, leastHeap)))
}
