package bench

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW7 is one user whose 100,000 events are pushed into a queue, as fast
// as one goroutine can, ahead of those of 99 users with 10 each, while the
// pipeline runs; four workers take 20 µs of processor time for each. It reports
// how long the light users' events took from when their push began.
//
// What the machine allows is measured in the same run: floor-p99-ms is what the
// light users' events take when nothing else is there, no flood, no queue and no
// stage, and x-floor how many times that they took with all of it. Each figure
// is the median of the runs; worst-p99-ms is the worst of them, which on a shared
// machine is mostly that of others.
func BenchmarkW7(b *testing.B) {
	for _, d := range []struct {
		name string
		make func() dispatcher.Dispatcher[userEvent]
	}{
		{"fair", func() dispatcher.Dispatcher[userEvent] {
			return stage.Must(fair.New(func(e userEvent) int { return e.user }, fair.Config[userEvent]{
				MaxEvents: 1 << 20, MaxBytes: 1 << 30,
			}))
		}},
		{"fifo", func() dispatcher.Dispatcher[userEvent] { return dispatcher.NewDemand[userEvent]() }},
	} {
		b.Run(d.name, func(b *testing.B) {
			var p50, p99, floor, ratio []float64 // of each run
			var running time.Duration
			for b.Loop() {
				least := floorW7()
				light := hdrhistogram.New(1, int64(time.Minute), 3)
				begin := time.Now()
				runW7(b, d.make(), d.name == "fair", light)
				running += time.Since(begin)
				most := float64(light.ValueAtQuantile(99))
				p50 = append(p50, float64(light.ValueAtQuantile(50))/1e6)
				p99 = append(p99, most/1e6)
				floor = append(floor, least/1e6)
				ratio = append(ratio, most/least)
			}
			b.ReportMetric(float64(b.N*(w7Heavy+w7Users*w7Each))/running.Seconds(), "events/s")
			b.ReportMetric(median(p50), "light-p50-ms")
			b.ReportMetric(median(p99), "light-p99-ms")
			b.ReportMetric(slices.Max(p99), "worst-p99-ms")
			b.ReportMetric(median(floor), "floor-p99-ms")
			b.ReportMetric(median(ratio), "x-floor")
		})
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// userEvent is the seq-th event of a user.
type userEvent struct {
	user, seq int
	at        time.Time // when its push began
}

const (
	w7Heavy   = 100_000
	w7Users   = 99
	w7Each    = 10
	w7Workers = 4
)

// w7Work is 20 µs of processor time.
func w7Work() {
	for start := time.Now(); time.Since(start) < 20*time.Microsecond; {
		// the work
	}
}

// floorW7 is the p99 of the light users' work and nothing else.
func floorW7() float64 {
	const events = w7Users * w7Each
	waits := make([]time.Duration, events)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range w7Workers {
		wg.Go(func() {
			for i := next.Add(1); i <= events; i = next.Add(1) {
				w7Work()
				waits[i-1] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	slices.Sort(waits)
	return float64(waits[events*99/100])
}

// runW7 runs it once; ordered says that each user's events must come in order.
func runW7(b *testing.B, d dispatcher.Dispatcher[userEvent], ordered bool, light *hdrhistogram.Histogram) {
	runtime.GC() // of the run before
	var mu sync.Mutex
	next := make([]int, w7Users+1)
	handled := 0
	pool := stage.Must(consumer.NewSupervisor(func(_ context.Context, e userEvent) error {
		w7Work()
		mu.Lock()
		defer mu.Unlock()
		handled++
		if ordered && next[e.user] != e.seq {
			b.Errorf("user %d: event %d came when %d was due", e.user, e.seq, next[e.user])
		}
		next[e.user]++
		if e.user == 0 {
			return nil
		}
		return light.RecordValue(int64(time.Since(e.at)))
	}, consumer.SupervisorConfig[userEvent]{MaxDemand: w7Workers}))
	queue := stage.Must(producer.NewQueue(producer.QueueConfig[userEvent]{
		Capacity: 1 << 17, // with room for all, so that no push waits and FIFO has its whole delay inside
		Stamp:    func(e *userEvent, at time.Time) { e.at = at },
	}))
	source := stage.Must(stage.NewProducer(queue, stage.ProducerConfig[userEvent]{Dispatcher: d}))
	end := stage.Must(stage.NewConsumer(pool, stage.ConsumerConfig{}))
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(context.Background(), source, end) }()
	push := func(e userEvent) {
		if err := queue.Push(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
	for i := range w7Heavy {
		push(userEvent{user: 0, seq: i})
	}
	for i := range w7Users * w7Each {
		push(userEvent{user: 1 + i%w7Users, seq: i / w7Users})
	}
	queue.Drain()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if want := w7Heavy + w7Users*w7Each; handled != want {
		b.Fatalf("%d events of %d arrived", handled, want)
	}
}
