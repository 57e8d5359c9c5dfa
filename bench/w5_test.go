package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW5 is a counter and eight consumers that each get every event, in a
// slice of its own. The reference copies as well, from one goroutine.
func BenchmarkW5(b *testing.B) {
	perSecond := compare(b,
		func(n int) time.Duration { return runW5(b, n, widest) },
		func(n int) time.Duration { return copyToAll(b, n, widest) })
	b.ReportMetric(w5Takers*perSecond, "deliveries/s")
}

const w5Takers = 8

// waitingCounter is a counter that begins when all consumers are subscribed, so
// that none misses the first event.
type waitingCounter struct {
	counter
	missing int
	self    *stage.ProducerStage[int]
}

// HandleSubscribe implements stage.SubscribeHandler.
func (c *waitingCounter) HandleSubscribe(context.Context, stage.SubscriptionInfo) error {
	if c.missing--; c.missing == 0 {
		c.self.SetDemand(stage.Forward) // done when this subscription is accepted
	}
	return nil
}

func runW5(tb testing.TB, n int, d demand) time.Duration {
	events := &waitingCounter{counter: counter{limit: n}, missing: w5Takers}
	source := stage.Must(stage.NewProducer(events, stage.ProducerConfig[int]{
		Dispatcher: dispatcher.NewBroadcast[int](),
		Demand:     stage.Accumulate,
	}))
	events.self = source
	stages := []stage.Stage{source}
	var sums [w5Takers]summer
	for i := range sums {
		end := stage.Must(stage.NewConsumer(&sums[i], stage.ConsumerConfig{}))
		subscribe(tb, source, end, d.config())
		stages = append(stages, end)
	}
	took := run(tb, stages...)
	for i := range sums {
		sums[i].check(tb, n)
	}
	return took
}

// copyToAll is the same over bare channels.
func copyToAll(tb testing.TB, n int, d demand) time.Duration {
	var to [w5Takers]wire[int]
	var sums [w5Takers]summer
	for i := range to {
		to[i] = newWire[int](d)
	}
	emitted := make([]int, d.batch())
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range to {
		wg.Go(func() { sum(to[i], &sums[i]) })
	}
	for next := 0; next < n; {
		events := emitted[:min(d.batch(), n-next)]
		next = fill(events, next)
		for i := range to {
			b := (<-to[i].empty)[:len(events)]
			copy(b, events)
			to[i].full <- b
		}
	}
	for i := range to {
		close(to[i].full)
	}
	wg.Wait()
	took := time.Since(begin)
	for i := range sums {
		sums[i].check(tb, n)
	}
	return took
}
