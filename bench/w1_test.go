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
				func(n int) time.Duration { return handOver(b, n, d) })
		})
	}
}

func runW1(tb testing.TB, n int, d demand) time.Duration {
	source := stage.Must(stage.NewProducer(&counter{limit: n}, stage.ProducerConfig[int]{}))
	sum := new(summer)
	end := stage.Must(stage.NewConsumer(sum, stage.ConsumerConfig{}))
	subscribe(tb, source, end, d.config())
	took := run(tb, source, end)
	sum.check(tb, n)
	return took
}

// BenchmarkW1b is W1 with events of 24 bytes that point to 48 more, as the
// garbage collector sees them.
func BenchmarkW1b(b *testing.B) {
	for _, d := range demands {
		b.Run(fmt.Sprintf("%d/%d", d.max, d.min), func(b *testing.B) {
			compare(b,
				func(n int) time.Duration { return runW1b(b, n, d) },
				func(n int) time.Duration { return handOverRecords(b, n, d) })
		})
	}
}

// record is an event with a string in it, which is one of bodies.
type record struct {
	id   int
	body string
}

const bodyLen = 48

var bodies = func() (s [16]string) {
	for i := range s {
		s[i] = fmt.Sprintf("%0*d", bodyLen, i)
	}
	return s
}()

// recordCounter is a producer of the records below limit.
type recordCounter struct{ next, limit int }

// HandleDemand implements stage.Producer.
func (c *recordCounter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[record]) error {
	slots := emit.Slots(min(n, c.limit-c.next))
	c.next = fillRecords(slots, c.next)
	if c.next == c.limit {
		return stage.ErrDone
	}
	return nil
}

// fillRecords is fill with records.
//
//go:noinline
func fillRecords(b []record, next int) int {
	for i := range b {
		b[i] = record{next, bodies[next%len(bodies)]}
		next++
	}
	return next
}

// recordSummer adds up the records and the bytes of their bodies.
type recordSummer struct{ ids, bytes, count int }

// HandleEvents implements stage.Consumer.
func (s *recordSummer) HandleEvents(_ context.Context, events []record) error {
	s.add(events)
	return nil
}

// add is addUp with records.
//
//go:noinline
func (s *recordSummer) add(events []record) {
	ids, bytes := 0, 0
	for i := range events {
		ids += events[i].id
		bytes += len(events[i].body)
	}
	s.ids, s.bytes, s.count = s.ids+ids, s.bytes+bytes, s.count+len(events)
}

func (s *recordSummer) check(tb testing.TB, n int) {
	tb.Helper()
	if want := (recordSummer{n * (n - 1) / 2, n * bodyLen, n}); *s != want {
		tb.Fatalf("%+v arrived, want %+v", *s, want)
	}
}

func runW1b(tb testing.TB, n int, d demand) time.Duration {
	source := stage.Must(stage.NewProducer(&recordCounter{limit: n}, stage.ProducerConfig[record]{}))
	sum := new(recordSummer)
	end := stage.Must(stage.NewConsumer(sum, stage.ConsumerConfig{}))
	subscribe(tb, source, end, d.config())
	took := run(tb, source, end)
	sum.check(tb, n)
	return took
}

// handOverRecords is handOver with records.
func handOverRecords(tb testing.TB, n int, d demand) time.Duration {
	w := newWire[record](d)
	s := new(recordSummer)
	begin := time.Now()
	go func() {
		defer close(w.full)
		for next := 0; next < n; {
			b := (<-w.empty)[:min(d.batch(), n-next)]
			next = fillRecords(b, next)
			w.full <- b
		}
	}()
	for b := range w.full {
		s.add(b)
		w.empty <- b[:cap(b)]
	}
	took := time.Since(begin)
	s.check(tb, n)
	return took
}
