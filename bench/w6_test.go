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
	queue := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{}))
	sum := new(summer)
	stop := runThrough(b, queue, sum)
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
	queue.Drain()
	stop()
	b.StopTimer()
	if sum.count != b.N {
		b.Fatalf("%d events of %d arrived", sum.count, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchPushLatency pushes at a steady 50,000 a second, whatever becomes of it,
// and measures from the moment at which a push was due until it is handled. Three
// references keep the same schedule: bare channels through as many goroutines, the same
// with goroutines that spend busier on each event, about as much longer as stages do, and no
// goroutine at all, which shows when the machine kept the pushes themselves waiting.
func benchPushLatency(b *testing.B) {
	const rate, busier = 50_000, 150 * time.Nanosecond
	// schedule calls push when each event is due and returns the rate.
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
	record := func(h *hdrhistogram.Histogram, due time.Time) error {
		return h.RecordValue(max(1, int64(time.Since(due))))
	}
	floor, bare, busy, ours := newHistogram(), newHistogram(), newHistogram(), newHistogram()
	schedule(func(due time.Time) { _ = record(floor, due) })
	overChannels := func(h *hdrhistogram.Histogram, spend func()) {
		first, second := make(chan time.Time, producer.DefaultCapacity), make(chan time.Time, producer.DefaultCapacity)
		done := make(chan struct{})
		go func() {
			defer close(second)
			for due := range first {
				spend()
				second <- due
			}
		}()
		go func() {
			defer close(done)
			for due := range second {
				spend()
				_ = record(h, due)
			}
		}()
		schedule(func(due time.Time) { first <- due })
		close(first)
		<-done
	}
	overChannels(bare, func() {})
	overChannels(busy, func() {
		for begin := time.Now(); time.Since(begin) < busier; {
		}
	})

	queue := stage.Must(producer.NewQueue[time.Time](producer.QueueConfig[time.Time]{}))
	stop := runThrough(b, queue, stage.Must(consumer.ForEach(func(_ context.Context, due time.Time) error { return record(ours, due) })))
	b.ResetTimer()
	offered := schedule(func(due time.Time) {
		if err := queue.Push(context.Background(), due); err != nil {
			b.Fatal(err)
		}
	})
	queue.Drain()
	stop()
	b.ReportMetric(offered, "events/s")
	b.ReportMetric(float64(ours.ValueAtQuantile(50))/1e3, "p50-µs")
	b.ReportMetric(float64(ours.ValueAtQuantile(99))/1e3, "p99-µs")
	b.ReportMetric(float64(bare.ValueAtQuantile(99))/1e3, "channels-p99-µs")
	b.ReportMetric(float64(floor.ValueAtQuantile(99))/1e3, "machine-p99-µs")
	b.ReportMetric(float64(busy.ValueAtQuantile(50))/1e3, "busy-channels-p50-µs")
	b.ReportMetric(100*late(ours), "late-%")
	b.ReportMetric(100*late(bare), "channels-late-%")
	b.ReportMetric(100*late(busy), "busy-channels-late-%")
	// Channels with no late event count as with one, so that there is always a figure.
	b.ReportMetric(late(ours)/max(late(bare), 1/float64(b.N)), "late-of-channels")
}

// late is the share of events later than 100 µs.
func late(h *hdrhistogram.Histogram) float64 {
	var n int64
	for _, bar := range h.Distribution() {
		if bar.From >= 100_000 {
			n += bar.Count
		}
	}
	return float64(n) / float64(max(1, h.TotalCount()))
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// runThrough runs source and sink until the returned function is called, which waits
// for the end.
func runThrough[T any](b *testing.B, source stage.Producer[T], sink stage.Consumer[T]) (wait func()) {
	from := stage.Must(stage.NewProducer(source, stage.ProducerConfig[T]{}))
	to := stage.Must(stage.NewConsumer(sink, stage.ConsumerConfig{}))
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
