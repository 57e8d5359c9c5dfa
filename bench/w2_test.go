package bench

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW2 is a counter, two producer-consumers that each add one, and a
// consumer. The reference has as many hops, and copies at each as a
// producer-consumer must, since what it takes and what it emits are two slices.
func BenchmarkW2(b *testing.B) {
	compare(b,
		func(n int) time.Duration { return runW2(b, n, widest) },
		func(n int) time.Duration { return relay(b, n, widest) })
}

const w2Between = 2 // producer-consumers

func increment(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	out := emit.Slots(len(events))[:len(events)] // which saves the check of each index
	for i, v := range events {
		out[i] = v + 1
	}
	return nil
}

func runW2(tb testing.TB, n int, d demand) time.Duration {
	return between(tb, &counter{limit: n}, n, d)
}

// between runs n events of a source through the producer-consumers.
func between(tb testing.TB, p stage.Producer[int], n int, d demand) time.Duration {
	tb.Helper()
	source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[int]{}))
	stages := []stage.Stage{source}
	var last stage.Output[int] = source
	for range w2Between {
		next := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, int](increment), stage.ProducerConsumerConfig[int]{}))
		subscribe(tb, last, next, d.config())
		stages, last = append(stages, next), next
	}
	sum := new(summer)
	end := stage.Must(stage.NewConsumer(sum, stage.ConsumerConfig{}))
	subscribe(tb, last, end, d.config())
	took := run(tb, append(stages, end)...)
	checkW2(tb, sum, n)
	return took
}

func checkW2(tb testing.TB, s *summer, n int) {
	tb.Helper()
	s.total -= w2Between * n
	s.check(tb, n)
}

// relay is the same over bare channels.
func relay(tb testing.TB, n int, d demand) time.Duration {
	first := newWire[int](d)
	last, s := first, new(summer)
	begin := time.Now()
	for range w2Between {
		from, to := last, newWire[int](d)
		go func() {
			defer close(to.full)
			for in := range from.full {
				out := (<-to.empty)[:len(in)]
				for i, v := range in {
					out[i] = v + 1
				}
				from.empty <- in[:cap(in)]
				to.full <- out
			}
		}()
		last = to
	}
	go count(first, n)
	sum(last, s)
	took := time.Since(begin)
	checkW2(tb, s, n)
	return took
}
