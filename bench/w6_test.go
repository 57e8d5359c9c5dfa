package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW6 pushes into a Queue one event at a time, from outside.
func BenchmarkW6(b *testing.B) {
	for _, pushers := range []int{1, 8} {
		b.Run(fmt.Sprintf("push/goroutines=%d", pushers), func(b *testing.B) { benchPush(b, pushers) })
	}
	b.Run("latency/50000-per-s", benchPushLatency)
}

func benchPush(b *testing.B, pushers int) {
	b.ReportAllocs()
	queue := producer.NewQueue[int](producer.QueueConfig[int]{})
	sum := new(summer)
	stop := pipeline(b, queue, sum)
	ctx := context.Background()
	b.ResetTimer()
	var wg sync.WaitGroup
	for p := range pushers {
		wg.Go(func() {
			for i := p; i < b.N; i += pushers {
				if err := queue.Push(ctx, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	queue.Close()
	stop()
	b.StopTimer()
	if sum.count != b.N {
		b.Fatalf("%d events of %d arrived", sum.count, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchPushLatency pushes at a steady 50,000 a second, whatever becomes of it,
// and measures from the moment at which a push was due until it is handled.
func benchPushLatency(b *testing.B) {
	const rate = 50_000
	queue := producer.NewQueue[time.Time](producer.QueueConfig[time.Time]{})
	histogram := hdrhistogram.New(1, int64(time.Minute), 3)
	stop := pipeline(b, queue, consumer.ForEach(func(_ context.Context, due time.Time) error {
		return histogram.RecordValue(max(1, int64(time.Since(due))))
	}))
	// schedule calls push when each event is due and answers the rate.
	schedule := func(push func(due time.Time)) float64 {
		begin := time.Now()
		for i := range b.N {
			due := begin.Add(time.Duration(i) * time.Second / rate)
			for time.Now().Before(due) {
				runtime.Gosched() // a timer would come some tens of microseconds late
			}
			push(due)
		}
		return float64(b.N) / time.Since(begin).Seconds()
	}
	// The same schedule without a queue shows what the machine itself costs.
	floor := hdrhistogram.New(1, int64(time.Minute), 3)
	schedule(func(due time.Time) { _ = floor.RecordValue(max(1, int64(time.Since(due)))) })
	b.ResetTimer()
	offered := schedule(func(due time.Time) {
		if err := queue.Push(context.Background(), due); err != nil {
			b.Fatal(err)
		}
	})
	queue.Close()
	stop()
	b.ReportMetric(offered, "events/s")
	b.ReportMetric(float64(histogram.ValueAtQuantile(50))/1e3, "p50-µs")
	b.ReportMetric(float64(histogram.ValueAtQuantile(99))/1e3, "p99-µs")
	b.ReportMetric(float64(floor.ValueAtQuantile(99))/1e3, "machine-p99-µs")
}

// pipeline runs source and sink until the function that it answers is called,
// which waits for the end.
func pipeline[T any](b *testing.B, source stage.Producer[T], sink stage.Consumer[T]) (wait func()) {
	from := stage.NewProducer(source, stage.ProducerConfig[T]{})
	to := stage.NewConsumer(sink, stage.ConsumerConfig{})
	if _, err := to.Subscribe(from, stage.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- stage.Run(context.Background(), from, to) }()
	return func() {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
