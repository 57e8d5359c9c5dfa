package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The rates at which tuneCollector changes the percentage, and how often it looks.
const (
	busyCycles = 20 // a second
	calmCycles = 2
	lookEvery  = 100 * time.Millisecond
	calmFor    = 5 * time.Second
)

// tuneCollector gives the collector another percentage while it runs often, which is how a
// server of many small connections spends its time under load: the live heap is small, and
// so is what may be allocated before the next cycle. An idle server keeps the small heap, and
// so does one to which clients just connect. It returns when ctx ends.
func tuneCollector(ctx context.Context, percent int, connections func() int) {
	usual := debug.SetGCPercent(percent)
	debug.SetGCPercent(usual)
	if percent <= usual {
		return
	}
	defer debug.SetGCPercent(usual)
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	cycles := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	busy, before, at, connected := false, cycles(), time.Now(), -1
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, n := time.Now(), cycles()
		rate := float64(n-before) / now.Sub(at).Seconds()
		switch {
		case !busy && rate >= busyCycles:
			if n := connections(); n == connected {
				debug.SetGCPercent(percent)
				busy = true
			} else {
				connected = n
			}
		case busy && rate > calmCycles:
		case busy && now.Sub(at) < calmFor:
			continue // not long enough to tell
		case busy:
			debug.SetGCPercent(usual)
			busy = false
		}
		before, at = n, now
	}
}
