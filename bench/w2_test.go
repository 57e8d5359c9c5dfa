package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// BenchmarkChain is W2 with more producer-consumers.
func BenchmarkChain(b *testing.B) {
	for _, hops := range []int{2, 16, 64} {
		b.Run(fmt.Sprintf("stages=%d", hops), func(b *testing.B) {
			compare(b,
				func(n int) time.Duration { return between(b, &counter{limit: n}, hops, n, widest) },
				func(n int) time.Duration { return relay(b, hops, n, widest) })
		})
	}
}

// BenchmarkW2 is a counter, two producer-consumers that each add one, and a
// consumer. The reference has as many hops, and copies at each as a
// producer-consumer must, since what it takes and what it emits are two slices.
func BenchmarkW2(b *testing.B) {
	compare(b,
		func(n int) time.Duration { return runW2(b, n, widest) },
		func(n int) time.Duration { return relay(b, w2Between, n, widest) })
}

const w2Between = 2 // producer-consumers

func increment(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	addOne(emit.Slots(len(events)), events)
	return nil
}

func runW2(tb testing.TB, n int, d demand) time.Duration {
	return between(tb, &counter{limit: n}, w2Between, n, d)
}

// between runs n events of a source through producer-consumers.
func between(tb testing.TB, p stage.Producer[int], hops, n int, d demand) time.Duration {
	tb.Helper()
	source := stage.Must(stage.NewProducer(p, stage.ProducerConfig[int]{}))
	stages := []stage.Stage{source}
	var last stage.Output[int] = source
	for range hops {
		next := stage.Must(stage.NewProducerConsumer(stage.ProducerConsumerFunc[int, int](increment), stage.ProducerConsumerConfig[int]{}))
		subscribe(tb, last, next, d.config())
		stages, last = append(stages, next), next
	}
	sum := new(summer)
	end := stage.Must(stage.NewConsumer(sum, stage.ConsumerConfig{}))
	subscribe(tb, last, end, d.config())
	took := run(tb, append(stages, end)...)
	checkHops(tb, sum, hops, n)
	return took
}

func checkHops(tb testing.TB, s *summer, hops, n int) {
	tb.Helper()
	s.total -= hops * n
	s.check(tb, n)
}

// relay is the same over bare channels.
func relay(tb testing.TB, hops, n int, d demand) time.Duration {
	first := newWire[int](d)
	last, s := first, new(summer)
	begin := time.Now()
	for range hops {
		from, to := last, newWire[int](d)
		go func() {
			defer close(to.full)
			for in := range from.full {
				out := (<-to.empty)[:len(in)]
				addOne(out, in)
				from.empty <- in[:cap(in)]
				to.full <- out
			}
		}()
		last = to
	}
	go count(first, n)
	sum(last, s)
	took := time.Since(begin)
	checkHops(tb, s, hops, n)
	return took
}
