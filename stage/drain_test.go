package stage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Drain: what was taken in is delivered, nothing more is.
func TestDrainOfACounter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, dst := &source{counting: true}, pausing(3)
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{MaxDemand: 10})
		done := run(ctx, stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c)))
		cancel()
		synctest.Wait()
		lives(t, p, c)
		emitted := int(snap(t, p).Emitted)
		close(dst.gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), upTo(0, emitted))
		equal(t, "cause", dst.ended, []error{nil})
	})
}

// Drain: a source with HandleDrain is asked until it says that it is done.
func TestDrainOfASourceThatRunsDry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, dst := &draining{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, four)
		done := run(ctx, stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c)))
		cancel()
		synctest.Wait()
		lives(t, p, c)
		push(t, p, &src.source, 1, 2, 3, 4)
		equal(t, "demands", src.demands, []int{4, 4})
		src.onInfo = func(any) error { src.emit.EmitAll([]int{5, 6}); return stage.ErrDone }
		src.self.Send("that was all")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), upTo(1, 7))
		equal(t, "HandleDrain", src.drained, 1)
	})
}

func TestDrainAndStopAreIdempotent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &draining{}
		p := producer(src, stage.ProducerConfig[int]{})
		start(t, p)
		c := join(t, p, newSink(), four)
		p.Drain()
		p.Drain()
		synctest.Wait()
		equal(t, "HandleDrain", src.drained, 1)
		lives(t, p)
		p.Stop(errOops)
		p.Stop(nil)
		p.Drain()
		synctest.Wait()
		died(t, p, errOops)
		died(t, c, errOops)
		p.Stop(nil)
		p.Drain()
		equal(t, "terminated", len(src.ended), 1)
		if p.Do(func() {}) || p.SetDemand(stage.Forward) {
			t.Fatal("a stopped stage takes orders")
		}
	})
}

// A pipeline that is drained as soon as it runs still delivers what is there.
func TestDrainAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		src, dst := &draining{}, newSink()
		src.onDemand = func(int) error { src.emit.EmitAll([]int{1, 2, 3}); return stage.ErrDone }
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, stage.SubscribeConfig{})
		if err := stage.Run(ctx, p, c); err != nil {
			t.Fatal(err)
		}
		equal(t, "events", dst.events(), []int{1, 2, 3})
	})
}

func TestDrainForwardsWhatWasAccumulated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p := producer(src, stage.ProducerConfig[int]{Demand: stage.Accumulate})
		start(t, p)
		c := join(t, p, dst, stage.SubscribeConfig{})
		push(t, p, src, 1, 2, 3)
		equal(t, "events", len(dst.events()), 0)
		p.Drain()
		synctest.Wait()
		equal(t, "events", dst.events(), []int{1, 2, 3})
		died(t, p, nil)
		died(t, c, nil)
	})
}

// Nobody is left to deliver to: draining does not wait for them.
func TestDrainWithoutSubscribersDiscards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, p, _ := filled(t, stage.ProducerConfig[int]{}, []int{1, 2})
		begun := time.Now()
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		equal(t, "discarded", src.discarded, []string{"1 stopped", "2 stopped"})
		equal(t, "took", time.Since(begun), time.Duration(0))
	})
}

// What waits in a partition whose subscriber is gone is given up by a drain,
// and what is behind it is delivered.
func TestDrainGivesUpOrphans(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		var discarded []int
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{Capacity: 2})),
			Discarded:  func(event int, _ receipt.Reason) { discarded = append(discarded, event) },
		})
		start(t, p)
		c := newSink()
		cs := join(t, p, c, stage.SubscribeConfig{Partition: 1})
		push(t, p, &src.source, 0, 2, 4, 6, 1, 3)
		equal(t, "events", len(c.events()), 0) // the first two hold up the others
		begun := time.Now()
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		died(t, cs, nil)
		equal(t, "took", time.Since(begun), time.Duration(0))
		equal(t, "events", c.events(), []int{1, 3})
		equal(t, "discarded", discarded, []int{0, 2, 4, 6})
		equal(t, "receipts", ended(src.receipts), []string{"4 done", "5 done"})
		snap(t, p)
	})
}

// What waits for a slow subscriber is no orphan, and waiting for it is idle.
func TestDrainWaitsForSlowPartitions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, pausing(1)
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: stage.Must(dispatcher.NewPartition(2, func(v int) (int, bool) { return v % 2, true }, dispatcher.PartitionConfig{Capacity: 2})),
		})
		start(t, p)
		join(t, p, newSink(), stage.SubscribeConfig{Partition: 1})
		join(t, p, c, stage.SubscribeConfig{Partition: 0, MaxDemand: 1})
		push(t, p, src, 0, 2, 4, 6, 8)
		p.Drain()
		synctest.Wait()
		lives(t, p)
		close(c.gate)
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{0, 2, 4, 6, 8})
	})
}

func TestDrainTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &draining{} // never done
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 3 * time.Second}, p, c))
		done := run(t.Context(), line)
		begun := time.Now()
		line.Drain()
		line.Drain()
		err := <-done
		if !errors.Is(err, stage.ErrDrainTimeout) || errors.Is(err, stage.ErrHung) {
			t.Fatal(err)
		}
		equal(t, "took", time.Since(begun), 3*time.Second)
		died(t, p, stage.ErrDrainTimeout)
	})
}

// A drain delivers what can be delivered; what parked keys have is given up then,
// with a reason of its own and no receipt, also where it leaves no room for
// others.
func TestDrainGivesUpParked(t *testing.T) {
	for name, cfg := range map[string]fair.Config[int]{
		"room":      {}, // for all
		"full key":  {KeyMaxEvents: 2},
		"full":      {MaxEvents: 3},
		"rate":      {Rate: fair.Rate{PerSecond: 1}},
		"buffering": {MaxEvents: 8, KeyMaxEvents: 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src := &acking{}
				var discarded []string
				fair := stage.Must(fair.New(func(v int) int { return v / 10 }, cfg))
				p := producer(src, stage.ProducerConfig[int]{
					Dispatcher: fair, BufferSize: stage.Unlimited,
					Discarded: func(event int, reason receipt.Reason) {
						discarded = append(discarded, fmt.Sprint(event, " ", reason))
					},
				})
				c := pausing(1)
				start(t, p)
				p.Do(func() { fair.Park(1) })
				join(t, p, c, four)
				push(t, p, &src.source, 10, 11, 12, 20, 21, 30)
				p.Drain()
				synctest.Wait()
				lives(t, p) // what is in flight may come back
				if name == "room" {
					equal(t, "discarded", len(discarded), 0)
				}
				close(c.gate)
				<-p.Stopped()
				died(t, p, nil)
				got := c.events()
				slices.Sort(got)
				equal(t, "events", got, []int{20, 21, 30})
				equal(t, "discarded", discarded, []string{"10 parked", "11 parked", "12 parked"})
				equal(t, "receipts", len(src.receipts), 3)
				equal(t, "counted", fair.Snapshot().Discarded[receipt.Parked], 3)
			})
		})
	}
}

// A stage that was not told to drain waits for Unpark, also when its source has
// ended.
func TestEndedSourceWaitsForUnpark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, newSink()
		fair := stage.Must(fair.New(func(v int) int { return v }, fair.Config[int]{}))
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: fair})
		start(t, p)
		p.Do(func() { fair.Park(1) })
		join(t, p, c, four)
		push(t, p, src, 1, 2)
		src.onInfo = func(any) error { return stage.ErrDone }
		src.self.Send("end")
		synctest.Wait()
		lives(t, p)
		equal(t, "events", c.events(), []int{2})
		p.Do(func() { fair.Unpark(1) })
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{2, 1})
	})
}

// A source that still has events, and is asked for none since a parked key is in
// the way, gets rid of them in a drain.
func TestDrainGivesUpParkedThatHoldUpTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &draining{}, newSink()
		var discarded []int
		left := []int{10, 11, 20}
		src.onDemand = func(n int) error {
			for ; n > 0 && len(left) > 0; n-- {
				src.emit.Emit(left[0])
				left = left[1:]
			}
			if len(left) == 0 {
				return stage.ErrDone
			}
			return nil
		}
		fair := stage.Must(fair.New(func(v int) int { return v / 10 },
			fair.Config[int]{MaxEvents: 2, KeyMaxEvents: 1})) // one for each key
		p := producer(src, stage.ProducerConfig[int]{
			Dispatcher: fair,
			Discarded:  func(event int, _ receipt.Reason) { discarded = append(discarded, event) },
		})
		p.Do(func() { fair.Park(1) })
		join(t, p, c, four)
		start(t, p)
		synctest.Wait()
		equal(t, "events", len(c.events()), 0)
		p.Drain()
		synctest.Wait()
		died(t, p, nil)
		equal(t, "events", c.events(), []int{20})
		equal(t, "discarded", discarded, []int{10, 11})
	})
}

// patient is a consumer that gives its receipts only when it is told of a drain.
type patient struct {
	sub    *stage.Subscription[int]
	open   []stage.Finished
	drains int
}

func (p *patient) HandleEvents(context.Context, []int) error { return nil }

func (p *patient) HandleDelivery(_ context.Context, d stage.Delivery[int]) error {
	p.sub = d.Subscription
	for i := range d.Events {
		p.open = append(p.open, stage.Finished{Position: d.First + uint64(i)})
	}
	return nil
}

func (p *patient) HandleDrain(context.Context) error {
	p.drains++
	p.sub.Settle(0, p.open...)
	return nil
}

// Drain: a consumer is told, once, and can finish what it would have waited with.
func TestDrainOfAConsumerThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		src, dst := &source{counting: true}, &patient{}
		p, c := producer(src, stage.ProducerConfig[int]{}), stage.Must(stage.NewConsumer(dst, stage.ConsumerConfig{Name: "C"}))
		subscribe(t, c, p, four)
		done := run(ctx, stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c)))
		synctest.Wait()
		begin := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Drain()
		equal(t, "time of the drain", time.Since(begin), time.Duration(0))
		equal(t, "drains", dst.drains, 1)
	})
}
