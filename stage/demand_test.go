package stage_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/stage"
)

// stepper handles one call for each step it is allowed.
type stepper struct {
	sink
	step chan struct{}
}

func (s *stepper) HandleEvents(ctx context.Context, events []int) error {
	if err := s.sink.HandleEvents(ctx, events); err != nil {
		return err
	}
	select {
	case <-s.step:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestDemandAndChunksExactly(t *testing.T) {
	for _, c := range []struct {
		max, min        int
		demands, chunks []int
	}{
		{1000, 500, []int{1000, 500, 500, 500}, []int{500, 500, 500, 500}},
		{100, 80, []int{100, 20, 20, 20}, []int{20, 20, 20, 20}},
		{100, 20, []int{100, 80, 100, 80}, []int{80, 20, 80, 80, 20, 80}},
		{10, stage.None, []int{10, 10, 10, 10}, []int{10, 10, 10, 10}},
		{10, 9, []int{10, 1, 1, 1}, []int{1, 1, 1, 1}},
		{5, 2, []int{5, 3, 5, 3}, []int{3, 2, 3, 3, 2}},
		{3, 1, []int{3, 2, 3, 2}, []int{2, 1, 2, 2, 1}},
		{1, stage.None, []int{1, 1, 1, 1}, []int{1, 1, 1, 1}},
	} {
		bubble(t, func(t *testing.T) {
			src, dst := &source{counting: true}, &stepper{step: make(chan struct{})}
			p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: c.max, MinDemand: c.min})
			start(t, p, cs)
			for range 8 {
				dst.step <- struct{}{}
				synctest.Wait()
			}
			equal(t, "demands", src.demands[:len(c.demands)], c.demands)
			equal(t, "chunks", dst.sizes(len(c.chunks)), c.chunks)
		})
	}
}

// A handler is asked for a great demand in portions, until it emits nothing for one
// of them: then it is asked for all of it.
func TestGreatDemandInPortions(t *testing.T) {
	for _, c := range []struct {
		name    string
		emits   int // of each portion
		demands []int
		events  int
	}{
		{"emits all", math.MaxInt, []int{1000, 1000, 500}, 2500},
		{"emits some", 1, []int{1000, 1000, 500}, 3},
		{"emits nothing yet", 0, []int{1000, 1500}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst := &source{}, newSink()
				src.onDemand = func(n int) error {
					for range min(n, c.emits) {
						src.emit.Emit(0)
					}
					return nil
				}
				p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
				sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
				if err := sub.Ask(2500); err != nil {
					t.Fatal(err)
				}
				start(t, p, cs)
				synctest.Wait()
				equal(t, "demands", src.demands, c.demands)
				equal(t, "events", len(dst.events()), c.events)
			})
		})
	}
}

// The portions grow while each subscriber gets few events of one, and shrink again.
func TestPortionsGrowForManySubscribers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const parts = 64
		few := false // the events of all but a few partitions are left out
		src := &source{}
		next := 0
		src.onDemand = func(n int) error {
			for range n {
				src.emit.Emit(next)
				next++
			}
			return nil
		}
		p := producer(src, stage.ProducerConfig[int]{Dispatcher: stage.Must(dispatcher.NewPartition(parts,
			func(v int) (int, bool) {
				if few {
					return v % 2, true
				}
				return v % parts, true
			}, dispatcher.PartitionConfig{}))})
		stages := []stage.Stage{p}
		var subs []*stage.Subscription[int]
		for i := range parts {
			c := consumer(newSink(), fmt.Sprint(i))
			subs = append(subs, subscribe(t, c, p, stage.SubscribeConfig{Partition: i, Manual: true}))
			stages = append(stages, c)
		}
		start(t, stages...)
		ask := func(n int, of ...*stage.Subscription[int]) {
			for _, s := range of {
				if err := s.Ask(n); err != nil {
					t.Error(err)
				}
			}
		}
		p.Do(func() { ask(200, subs...) })
		synctest.Wait()
		equal(t, "demands", src.demands, []int{1000, 2000, 4000, 4000, 1800})
		src.demands, few = nil, true
		p.Do(func() { ask(9000, subs[:2]...) })
		synctest.Wait()
		equal(t, "demands to few", src.demands, []int{4000, 2000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000})
	})
}

func TestDemandIsToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, _, p, _, _ := pair(t, stage.Permanent)
		for range 3 {
			src.self.Wake()
			p.Do(func() {})
			synctest.Wait()
		}
		equal(t, "demands", src.demands, []int{10})
		equal(t, "pending", snap(t, p).Pending, 10)
		push(t, p, src, 1, 2, 3)
		equal(t, "pending", snap(t, p).Pending, 7)
		push(t, p, src, 4, 5) // the consumer is down to its minimum and asks for 5
		equal(t, "demands", src.demands, []int{10, 5})
	})
}

func TestDemandOfALeaverIsNotToldAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, _, p, _, sub := pair(t, stage.Temporary)
		sub.Cancel(nil)
		synctest.Wait()
		join(t, p, newSink(), stage.SubscribeConfig{MaxDemand: 15})
		equal(t, "demands", src.demands, []int{10, 5})
	})
}

func TestAskAddsUpAndSaturates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c := &source{}, newSink()
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		start(t, p, cs)
		for _, n := range []int{1, 2, math.MaxInt - 1, math.MaxInt, math.MaxInt} {
			if err := sub.Ask(n); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		told := 0
		for _, n := range src.demands {
			if n < 0 || told+n < told {
				t.Fatalf("demands %v wrap", src.demands)
			}
			told += n
		}
		equal(t, "demand", told, math.MaxInt)
		equal(t, "outstanding", snap(t, p).Subscriptions[0].Outstanding, math.MaxInt)
		push(t, p, src, 1, 2, 3)
		equal(t, "batches", c.batches, [][]int{{1, 2, 3}})
		equal(t, "outstanding", snap(t, p).Subscriptions[0].Outstanding, math.MaxInt-3)
	})
}

func TestAskRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, _, p, cs, automatic := pair(t, stage.Permanent)
		manual := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true})
		for _, try := range []func() error{
			func() error { return manual.Ask(0) },
			func() error { return manual.Ask(-1) },
			func() error { return manual.Ask(math.MinInt) },
			func() error { return automatic.Ask(1) },
		} {
			var wrong *stage.OptionError
			if err := try(); !errors.As(err, &wrong) || wrong.Option != "Ask" {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		equal(t, "demand", snap(t, p).Demand, 10)
	})
}

func TestAskAfterTheEndDoesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribe(t, cs, p, stage.SubscribeConfig{Manual: true, Cancel: stage.Temporary})
		start(t, p, cs)
		sub.Cancel(nil)
		synctest.Wait()
		if err := sub.Ask(5); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "demands", len(src.demands), 0)
	})
}

// A consumer asks behind the chunk that brought it to its minimum, not before.
func TestSlowHandlerThrottlesItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{counting: true}
		c := pausing(1)
		p, cs := producer(src, stage.ProducerConfig[int]{}), consumer(c, "C")
		subscribe(t, cs, p, stage.SubscribeConfig{MaxDemand: 10})
		start(t, p, cs)
		equal(t, "demands", src.demands, []int{10})
		equal(t, "emitted", snap(t, p).Emitted, 10)
	})
}

func TestSmallAnswersAreServedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, c, p, _, _ := pair(t, stage.Permanent)
		push(t, p, src, 1)
		push(t, p, src, 2)
		equal(t, "batches", c.batches, [][]int{{1}, {2}}) // never merged
	})
}
