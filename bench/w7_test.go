package bench

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW7 is one user with 100,000 events and 99 users with 10 each, all
// there from the beginning, the heavy user's first; four workers take 20 µs of
// processor time for each. It reports how long the light users waited.
func BenchmarkW7(b *testing.B) {
	for _, d := range []struct {
		name string
		make func() dispatcher.Dispatcher[userEvent]
	}{
		{"fair", func() dispatcher.Dispatcher[userEvent] {
			return dispatcher.NewFair(func(e userEvent) int { return e.user }, dispatcher.FairConfig[userEvent]{
				MaxEvents: 1 << 20, KeyMaxEvents: 1 << 17, MaxBytes: 1 << 30, KeyMaxBytes: 1 << 27,
			})
		}},
		{"fifo", func() dispatcher.Dispatcher[userEvent] { return dispatcher.NewDemand[userEvent]() }},
	} {
		b.Run(d.name, func(b *testing.B) {
			light := hdrhistogram.New(1, int64(time.Minute), 3)
			events := 0
			for b.Loop() {
				events += runW7(b, d.make(), d.name == "fair", light)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(light.ValueAtQuantile(50))/1e6, "light-p50-ms")
			b.ReportMetric(float64(light.ValueAtQuantile(99))/1e6, "light-p99-ms")
		})
	}
}

// userEvent is the seq-th event of a user.
type userEvent struct{ user, seq int }

const (
	w7Heavy = 100_000
	w7Users = 99
	w7Each  = 10
)

// w7Source emits the heavy user's events, then everybody else's.
type w7Source struct{ next int }

// HandleDemand implements stage.Producer.
func (s *w7Source) HandleDemand(_ context.Context, n int, emit *stage.Emitter[userEvent]) error {
	for ; n > 0; n-- {
		switch i := s.next - w7Heavy; {
		case i < 0:
			emit.Emit(userEvent{0, s.next})
		case i < w7Users*w7Each:
			emit.Emit(userEvent{1 + i%w7Users, i / w7Users})
		default:
			return stage.ErrDone
		}
		s.next++
	}
	return nil
}

// runW7 runs it once; ordered says that each user's events must come in order.
func runW7(b *testing.B, d dispatcher.Dispatcher[userEvent], ordered bool, light *hdrhistogram.Histogram) int {
	runtime.GC() // of the run before
	var mu sync.Mutex
	next := make([]int, w7Users+1)
	handled := 0
	var begin time.Time
	pool := consumer.NewSupervisor(func(_ context.Context, e userEvent) error {
		for start := time.Now(); time.Since(start) < 20*time.Microsecond; {
			// the work
		}
		mu.Lock()
		defer mu.Unlock()
		handled++
		if e.user == 0 {
			return nil
		}
		if ordered && next[e.user] != e.seq {
			b.Errorf("user %d: event %d came when %d was due", e.user, e.seq, next[e.user])
		}
		next[e.user]++
		return light.RecordValue(int64(time.Since(begin)))
	}, consumer.SupervisorConfig[userEvent]{MaxDemand: 4})
	source := stage.NewProducer(&w7Source{}, stage.ProducerConfig[userEvent]{Dispatcher: d})
	end := stage.NewConsumer(pool, stage.ConsumerConfig{})
	if _, err := end.Subscribe(source, stage.SubscribeConfig{}); err != nil {
		b.Fatal(err)
	}
	begin = time.Now()
	if err := stage.Run(context.Background(), source, end); err != nil {
		b.Fatal(err)
	}
	if want := w7Heavy + w7Users*w7Each; handled != want {
		b.Fatalf("%d events of %d arrived", handled, want)
	}
	return handled
}
