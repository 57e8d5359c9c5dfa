//go:build !race

package bench

import (
	"runtime"
	"testing"
)

// An event costs no allocation in steady state: a long run allocates what a
// short one does.
func TestNoAllocationPerEvent(t *testing.T) {
	const short = 100_000
	for name, work := range map[string]func(n int){
		"W1 10/5":     func(n int) { runW1(t, n, demands[0]) },
		"W1 1000/500": func(n int) { runW1(t, n, widest) },
		"W1b":         func(n int) { runW1b(t, n, widest) },
		"W2":          func(n int) { runW2(t, n, widest) },
		"W2 receipts": func(n int) { runW2Receipts(t, n, widest) },
		"W3":          func(n int) { runW3(t, n, widest, new([w3Parts]summer)) },
		"W3 batch":    func(n int) { runW3Batch(t, n, widest, new([w3Parts]summer)) },
		"W4 100":      func(n int) { runW4(t, n, 100) },
		"W4 1000":     func(n int) { runW4(t, n, 1000) },
		"W5":          func(n int) { runW5(t, n, widest) },

		"pipeline W1":                  func(n int) { pipelineW1(t, n) },
		"pipeline W1, a dashboard":     func(n int) { dashboardW1(t, n) },
		"pipeline W1 Each":             func(n int) { pipelineW1Each(t, n) },
		"pipeline W2":                  func(n int) { pipelineW2(t, n) },
		"pipeline W2 Map":              func(n int) { pipelineW2Map(t, n) },
		"pipeline W4 100":              func(n int) { pipelineW4(t, n, 100) },
		"pipeline W4 1000":             func(n int) { pipelineW4(t, n, 1000) },
		"pipeline 4 workers":           func(n int) { pipelineWorkers(t, n, 4, false) },
		"pipeline 4 workers unordered": func(n int) { pipelineWorkers(t, n, 4, true) },
	} {
		t.Run(name, func(t *testing.T) {
			work(short)
			// What a run takes to begin differs by some hundred allocations, with a thousand
			// workers by more than a thousand, by how many of its goroutines are at work at once.
			// It does not grow with the run: in a longer one it is less of what is allowed. What
			// an event costs is in each.
			more := 1_000_000
			for try := 1; ; try++ {
				few, many := allocations(func() { work(short) }), allocations(func() { work(short + more) })
				extra := max(0, many-few)
				t.Logf("%d allocations for %d events, %d for %d", few, short, many, short+more)
				if extra <= more/1000 {
					return
				}
				if try == 3 {
					t.Fatalf("%d more events cost %d allocations, and too many each time", more, extra)
				}
				more *= 3
			}
		})
	}
}

func allocations(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}
