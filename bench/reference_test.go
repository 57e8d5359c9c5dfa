package bench

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// demand is a pair of max and min demand, with the size of the batches that
// follow from it.
type demand struct{ max, min int }

func (d demand) batch() int { return d.max - d.min }

// demands are those that the throughput benchmarks run with.
var demands = []demand{{10, 5}, {100, 50}, {1000, 500}}

// handOver moves n counted integers in recycled slices over a bare channel, as
// many slices in flight as the demand allows, and answers how long it took.
func handOver(n int, d demand) time.Duration {
	inFlight := max(1, d.max/d.batch())
	full, empty := make(chan []int, inFlight), make(chan []int, inFlight)
	for range inFlight {
		empty <- make([]int, d.batch())
	}
	begin := time.Now()
	go func() {
		defer close(full)
		for next := 0; next < n; {
			b := (<-empty)[:min(d.batch(), n-next)]
			for i := range b {
				b[i] = next
				next++
			}
			full <- b
		}
	}()
	total := 0
	for b := range full {
		for _, v := range b {
			total += v
		}
		empty <- b[:cap(b)]
	}
	sink = total
	return time.Since(begin)
}

var sink int

// counter is a producer of the integers below limit.
type counter struct{ next, limit int }

// HandleDemand implements stage.Producer.
func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	slots := emit.Slots(min(n, c.limit-c.next))
	for i := range slots {
		slots[i] = c.next
		c.next++
	}
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

// summer is a consumer that adds up what it gets.
type summer struct{ total, count int }

// HandleEvents implements stage.Consumer.
func (s *summer) HandleEvents(_ context.Context, events []int) error {
	for _, v := range events {
		s.total += v
	}
	s.count += len(events)
	return nil
}

// compare runs ours and the reference in turns, b.N events in all for each, and
// reports the rate and the share of the reference.
func compare(b *testing.B, ours, reference func(n int) time.Duration) {
	b.ReportAllocs()
	const turns = 4
	share := max(1, b.N/turns)
	ours(min(b.N, 100_000)) // what is allocated once is not the steady state's
	var mine, theirs time.Duration
	b.ResetTimer()
	for range turns {
		mine += ours(share)
		b.StopTimer()
		theirs += reference(share)
		b.StartTimer()
	}
	b.ReportMetric(float64(turns*share)/mine.Seconds(), "events/s")
	b.ReportMetric(theirs.Seconds()/mine.Seconds(), "of-ref")
}
