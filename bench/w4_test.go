package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW4 is a worker for each event that does nothing but count, 100 and
// 1,000 at once. The reference is as many goroutines that receive from one
// channel.
func BenchmarkW4(b *testing.B) {
	for _, workers := range []int{100, 1000} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			compare(b,
				func(n int) time.Duration { return runW4(b, n, workers) },
				func(n int) time.Duration { return fixedWorkers(n, workers) })
		})
	}
}

func runW4(tb testing.TB, n, workers int) time.Duration {
	var count atomic.Int64
	pool := stage.Must(consumer.NewSupervisor(func(context.Context, int) error {
		count.Add(1)
		return nil
	}, consumer.SupervisorConfig[int]{MaxDemand: workers, MinDemand: workers / 2}))
	source := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{}))
	end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		tb.Fatal(err)
	}
	begin := time.Now()
	if err := stage.Run(context.Background(), source, end); err != nil {
		tb.Fatal(err)
	}
	took := time.Since(begin)
	if count.Load() != int64(n) {
		tb.Fatalf("%d events of %d were worked on", count.Load(), n)
	}
	return took
}

// fixedWorkers passes n events to goroutines that are there from the beginning.
func fixedWorkers(n, workers int) time.Duration {
	events := make(chan int, workers)
	var count atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range workers {
		wg.Go(func() {
			for range events {
				count.Add(1)
			}
		})
	}
	for i := range n {
		events <- i
	}
	close(events)
	wg.Wait()
	return time.Since(begin)
}
