package bench

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// demand is a pair of max and min demand, with the size of the batches that
// follow from it.
type demand struct {
	max, min  int
	redeliver bool
}

func (d demand) batch() int { return d.max - d.min }

// demands are those that a hand-over is measured with; the benchmarks of
// anything more take the widest.
var (
	demands = []demand{{max: 10, min: 5}, {max: 100, min: 50}, {max: 1000, min: 500}}
	widest  = demands[len(demands)-1]
)

// wire is what references are made of: two bare channels between which the same
// slices go round, as many as the demand would allow in flight.
type wire[T any] struct{ full, empty chan []T }

func newWire[T any](d demand) wire[T] {
	inFlight := max(1, d.max/d.batch())
	w := wire[T]{make(chan []T, inFlight), make(chan []T, inFlight)}
	for range inFlight {
		w.empty <- make([]T, d.batch())
	}
	return w
}

// The loops that fill slices and read them are functions of their own, which both sides of
// a benchmark call: the same loop takes up to a half longer elsewhere in the program,
// depending on how its few instructions lie in the processor's lines.

// fill puts the integers from next on into b and returns the one after them.
//
//go:noinline
func fill(b []int, next int) int {
	for i := range b {
		b[i] = next
		next++
	}
	return next
}

// addUp returns the sum of b.
//
//go:noinline
func addUp(b []int) (total int) {
	for _, v := range b {
		total += v
	}
	return total
}

// addOne puts what is in from, plus one, into to, which is as long.
//
//go:noinline
func addOne(to, from []int) {
	to = to[:len(from)] // which saves the check of each index
	for i, v := range from {
		to[i] = v + 1
	}
}

// count sends the integers below n, in slices of the batch's size.
func count(w wire[int], n int) {
	defer close(w.full)
	for next := 0; next < n; {
		b := <-w.empty
		b = b[:min(cap(b), n-next)]
		next = fill(b, next)
		w.full <- b
	}
}

// sum adds up what comes.
func sum(w wire[int], s *summer) {
	for b := range w.full {
		s.total += addUp(b)
		s.count += len(b)
		w.empty <- b[:cap(b)]
	}
}

// handOver moves n counted integers from one goroutine to another.
func handOver(tb testing.TB, n int, d demand) time.Duration {
	w := newWire[int](d)
	s := new(summer)
	begin := time.Now()
	go count(w, n)
	sum(w, s)
	took := time.Since(begin)
	s.check(tb, n)
	return took
}

// counter is a producer of the integers below limit.
type counter struct{ next, limit int }

// HandleDemand implements stage.Producer.
func (c *counter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	c.next = fill(emit.Slots(min(n, c.limit-c.next)), c.next)
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

// summer is a consumer that adds up what it gets.
type summer struct {
	total, count int
	_            [48]byte // several of them must not share a cache line
}

// HandleEvents implements stage.Consumer.
func (s *summer) HandleEvents(_ context.Context, events []int) error {
	s.total += addUp(events)
	s.count += len(events)
	return nil
}

// check fails unless s has seen each integer below n, as far as a sum can tell.
func (s *summer) check(tb testing.TB, n int) {
	tb.Helper()
	if s.count != n || s.total != n*(n-1)/2 {
		tb.Fatalf("%d events with the sum %d arrived, want %d with %d", s.count, s.total, n, n*(n-1)/2)
	}
}

// run runs the stages and returns how long it took.
func run(tb testing.TB, stages ...stage.Stage) time.Duration {
	tb.Helper()
	begin := time.Now()
	if err := stage.Run(context.Background(), stages...); err != nil {
		tb.Fatal(err)
	}
	return time.Since(begin)
}

// subscribe subscribes with a demand.
func subscribe[T any](tb testing.TB, to stage.Output[T], by interface {
	Subscribe(stage.Output[T], stage.SubscribeConfig) (*stage.Subscription[T], error)
}, cfg stage.SubscribeConfig) {
	tb.Helper()
	if _, err := by.Subscribe(to, cfg); err != nil {
		tb.Fatal(err)
	}
}

func (d demand) config() stage.SubscribeConfig {
	return stage.SubscribeConfig{MaxDemand: d.max, MinDemand: d.min, Redeliver: d.redeliver}
}

// compare runs ours and the reference in turns, b.N events in all for each,
// reports the rate and the share of the reference, also in processor time, which other
// work on the machine changes less, and returns the rate.
func compare(b *testing.B, ours, reference func(n int) time.Duration) (perSecond float64) {
	b.ReportAllocs()
	const turns = 4
	ours = slowed(ours)
	share := max(1, b.N/turns)
	ours(min(b.N, 100_000)) // what is allocated once is not the steady state's
	var mine, theirs, mineBusy, theirsBusy time.Duration
	b.ResetTimer()
	for range turns {
		begin := processorTime()
		mine += ours(share)
		between := processorTime()
		b.StopTimer()
		theirs += reference(share)
		mineBusy, theirsBusy = mineBusy+between-begin, theirsBusy+processorTime()-between
		b.StartTimer()
	}
	perSecond = float64(turns*share) / mine.Seconds()
	b.ReportMetric(perSecond, "events/s")
	b.ReportMetric(theirs.Seconds()/mine.Seconds(), "of-ref")
	if mineBusy > 0 {
		b.ReportMetric(theirsBusy.Seconds()/mineBusy.Seconds(), "of-ref-cpu")
	}
	return perSecond
}
