package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
)

// What grows with its size, in more steps than the benchmarks of each work have.

// BenchmarkGrowthChain is W2 with 2 to 64 producer-consumers.
func BenchmarkGrowthChain(b *testing.B) {
	for _, hops := range []int{2, 4, 8, 16, 32, 64} {
		b.Run(fmt.Sprint(hops), func(b *testing.B) {
			compare(b,
				func(n int) time.Duration { return between(b, &counter{limit: n}, hops, n, widest) },
				func(n int) time.Duration { return relay(b, hops, n, widest) })
		})
	}
}

// BenchmarkGrowthConsumers is W8 with 1 to 3,000 consumers.
func BenchmarkGrowthConsumers(b *testing.B) {
	for _, consumers := range []int{1, 3, 10, 30, 100, 300, 1000, 3000} {
		b.Run(fmt.Sprint(consumers), func(b *testing.B) {
			b.StopTimer()
			asks := runW8(b, b.N, consumers, demands[0], b.StartTimer, b.StopTimer)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed())/float64(max(1, asks)), "ns/ask")
		})
	}
}

// BenchmarkGrowthKeys is the fair dispatcher with 1,000 to 1,000,000 keys that have an
// event waiting.
func BenchmarkGrowthKeys(b *testing.B) {
	for _, keys := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			benchFair(b, keys, func(k uint64) uint64 { return k }, fair.Config[uint64]{})
		})
	}
}
