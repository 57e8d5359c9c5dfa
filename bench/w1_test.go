package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW1 is a counter and one consumer.
func BenchmarkW1(b *testing.B) {
	for _, d := range demands {
		b.Run(fmt.Sprintf("%d/%d", d.max, d.min), func(b *testing.B) {
			compare(b,
				func(n int) time.Duration { return runW1(b, n, d) },
				func(n int) time.Duration { return handOver(n, d) })
		})
	}
}

func runW1(b *testing.B, n int, d demand) time.Duration {
	source := stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{})
	sum := new(summer)
	end := stage.NewConsumer(sum, stage.ConsumerConfig{})
	if _, err := end.Subscribe(source, stage.SubscribeConfig{MaxDemand: d.max, MinDemand: d.min}); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := stage.Run(context.Background(), source, end); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	if sum.count != n {
		b.Fatalf("%d events of %d arrived", sum.count, n)
	}
	return took
}
