package bench

import (
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW3Growth is W3 with 1 to 1,024 partitions and as many consumers.
func BenchmarkW3Growth(b *testing.B) {
	for _, parts := range []int{1, 4, 32, 256, 1024} {
		b.Run(fmt.Sprintf("partitions=%d", parts), func(b *testing.B) {
			b.ReportAllocs()
			sums := make([]summer, parts)
			source := stage.Must(stage.NewProducer(&counter{limit: b.N}, stage.ProducerConfig[int]{
				Dispatcher: stage.Must(dispatcher.NewPartition(parts, func(v int) (int, bool) {
					return int(uint64(v) * 0x9E3779B97F4A7C15 >> 32 % uint64(parts)), true
				}, dispatcher.PartitionConfig{})),
			}))
			stages := []stage.Stage{source}
			for i := range sums {
				end := stage.Must(stage.NewConsumer(&sums[i], stage.ConsumerConfig{}))
				cfg := widest.config()
				cfg.Partition = i
				subscribe(b, source, end, cfg)
				stages = append(stages, end)
			}
			b.ResetTimer()
			took := run(b, stages...)
			b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
			var all summer
			for i := range sums {
				all.count += sums[i].count
				all.total += sums[i].total
			}
			all.check(b, b.N)
		})
	}
}
