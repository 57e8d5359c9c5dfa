package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// BenchmarkW8 is a counter and 3 or 3,000 consumers that take turns. Beside the
// rate it reports the time between asks, which is what an ask costs with all
// that follows from it: a batch, handing it over and adding it up. It measures
// from the moment at which every consumer has asked twice. With 3,000 consumers
// at 1000/500 the slices in flight are 24 MB, more than the caches.
func BenchmarkW8(b *testing.B) {
	for _, d := range []demand{demands[0], widest} {
		for _, consumers := range w8Consumers {
			b.Run(fmt.Sprintf("%d/%d/consumers=%d", d.max, d.min, consumers), func(b *testing.B) {
				b.ReportAllocs()
				b.StopTimer()
				asks := runW8(b, b.N, consumers, d, b.StartTimer, b.StopTimer)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(float64(b.Elapsed())/float64(max(1, asks)), "ns/ask")
			})
		}
	}
}

// BenchmarkW8Channels is W8 at 10/5 over bare channels: each consumer is a goroutine with a
// channel of slices, which it returns with its number through one channel that all share.
// As many slices of as many events are in flight. It shows what of W8's figures is the
// price of so many goroutines.
func BenchmarkW8Channels(b *testing.B) {
	for _, consumers := range w8Consumers {
		b.Run(fmt.Sprintf("consumers=%d", consumers), func(b *testing.B) {
			b.ReportAllocs()
			b.StopTimer()
			slices := channelsW8(b, b.N, consumers, demands[0], b.StartTimer, b.StopTimer)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed())/float64(max(1, slices)), "ns/ask")
		})
	}
}

// channelsW8 calls begin when all consumers have returned each slice, and end when n more
// events were handed over, and returns the number of slices that came back in between.
func channelsW8(tb testing.TB, n, consumers int, d demand, begin, end func()) int {
	type emptied struct {
		events []int
		from   int
	}
	inFlight := d.max / d.batch()
	back := make(chan emptied, consumers*inFlight)
	to := make([]chan []int, consumers)
	sums := make([]summer, consumers)
	var wg sync.WaitGroup
	for i := range to {
		to[i] = make(chan []int, inFlight)
		for range inFlight {
			back <- emptied{make([]int, d.batch()), i}
		}
		wg.Go(func() {
			for events := range to[i] {
				_ = sums[i].HandleEvents(context.Background(), events)
				back <- emptied{events[:d.batch()], i}
			}
		})
	}
	next, slices := 0, 0
	send := func(limit int) {
		for ; next < limit; slices++ {
			b := <-back
			b.events = b.events[:min(len(b.events), limit-next)]
			next = fill(b.events, next)
			to[b.from] <- b.events
		}
	}
	send(2 * consumers * d.max)
	slices = 0
	begin()
	send(next + n)
	end()
	for i := range to {
		close(to[i])
	}
	wg.Wait()
	var all summer
	for i := range sums {
		all.count += sums[i].count
		all.total += sums[i].total
	}
	all.check(tb, next)
	return slices
}

// BenchmarkW8Ask is the dispatcher's part of that alone: one ask and the batch
// that serves it.
func BenchmarkW8Ask(b *testing.B) {
	for _, consumers := range w8Consumers {
		b.Run(fmt.Sprintf("consumers=%d", consumers), func(b *testing.B) {
			b.ReportAllocs()
			d := dispatcher.NewDemand[int]()
			for sub := range consumers {
				if err := d.Subscribe(sub, dispatcher.SubscribeConfig{}); err != nil {
					b.Fatal(err)
				}
				d.Ask(sub, demands[0].max)
			}
			var given givenTo
			offer := dispatcher.Offer[int]{Events: make([]int, demands[0].batch())}
			for b.Loop() {
				if d.Dispatch(offer, &given) != len(offer.Events) {
					b.Fatal("a batch was not taken")
				}
				d.Ask(int(given), len(offer.Events))
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N), "ns/ask")
		})
	}
}

var w8Consumers = []int{3, 3000}

// givenTo is an Out that remembers who was given the last batch.
type givenTo int

// Give implements dispatcher.Out.
func (g *givenTo) Give(sub, _, _ int) { *g = givenTo(sub) }

// GiveHeld implements dispatcher.Out.
func (g *givenTo) GiveHeld(int, int, uint64, uint64) {}

// Discard implements dispatcher.Out.
func (g *givenTo) Discard(int, uint64, receipt.Reason) {}

// askCounter is dispatcher.Demand that counts asks and who has asked twice, and
// so has handled something.
type askCounter struct {
	dispatcher.Dispatcher[int]
	bySub        []int
	asks, warmed int
}

// Ask implements dispatcher.Dispatcher.
func (a *askCounter) Ask(sub, n int) {
	a.asks++
	if a.bySub[sub]++; a.bySub[sub] == 2 {
		a.warmed++
	}
	a.Dispatcher.Ask(sub, n)
}

// warmCounter counts until every consumer is warm, and then n more.
type warmCounter struct {
	next, n, limit int
	asks           *askCounter
	begin, end     func()
	atBegin        int // asks
}

// HandleDemand implements stage.Producer.
func (c *warmCounter) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	if c.limit == 0 && c.asks.warmed == len(c.asks.bySub) {
		c.limit, c.atBegin = c.next+c.n, c.asks.asks
		c.begin()
	}
	if c.limit > 0 {
		n = min(n, c.limit-c.next)
	}
	slots := emit.Slots(n)
	for i := range slots {
		slots[i] = c.next
		c.next++
	}
	if c.limit > 0 && c.next == c.limit {
		c.end()
		return stage.ErrDone
	}
	return nil
}

// runW8 calls begin when all consumers are warm and end n events later, and
// returns the number of asks in between.
func runW8(tb testing.TB, n, consumers int, d demand, begin, end func()) int {
	asks := &askCounter{Dispatcher: dispatcher.NewDemand[int](), bySub: make([]int, consumers)}
	events := &warmCounter{n: n, asks: asks, begin: begin}
	atEnd := 0
	events.end = func() { end(); atEnd = asks.asks }
	source := stage.Must(stage.NewProducer(events, stage.ProducerConfig[int]{Dispatcher: asks}))
	sums := make([]summer, consumers)
	stages := []stage.Stage{source}
	for i := range sums {
		sink := stage.Must(stage.NewConsumer(&sums[i], stage.ConsumerConfig{}))
		subscribe(tb, source, sink, d.config())
		stages = append(stages, sink)
	}
	run(tb, stages...)
	var all summer
	for i := range sums {
		if sums[i].count == 0 {
			tb.Fatalf("consumer %d was given nothing", i)
		}
		all.count += sums[i].count
		all.total += sums[i].total
	}
	all.check(tb, events.limit)
	return atEnd - events.atBegin
}
