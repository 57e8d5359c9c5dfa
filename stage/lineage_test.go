package stage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// chain is a source that wants receipts, producer-consumers, and a pool whose
// receipts the test gives.
type chain struct {
	t   *testing.T
	src *acking
	p   *stage.ProducerStage[int]
	mid []*stage.ProducerConsumerStage[int, int]
	w   *pool
	c   *stage.ConsumerStage[int]
	sub *stage.Subscription[int]
}

func newChain(t *testing.T, cfg stage.SubscribeConfig, handlers ...stage.ProducerConsumer[int, int]) *chain {
	t.Helper()
	k := &chain{t: t, src: &acking{}, w: &pool{}}
	k.p = producer(k.src, stage.ProducerConfig[int]{})
	var last stage.Output[int] = k.p
	for _, h := range handlers {
		next := between(h, stage.ProducerConfig[int]{})
		subscribePC(t, next, last, cfg)
		k.mid, last = append(k.mid, next), next
	}
	k.c = consumer(k.w, "W")
	k.sub = subscribe(t, k.c, last, stage.SubscribeConfig{MaxDemand: 100, Cancel: stage.Temporary})
	stages := []stage.Stage{k.p}
	for _, m := range k.mid {
		stages = append(stages, m)
	}
	start(t, append(stages, k.c)...)
	return k
}

func (k *chain) push(events ...int) { k.t.Helper(); push(k.t, k.p, &k.src.source, events...) }

// want compares the receipts that the source has got since the last call.
func (k *chain) want(receipts ...string) {
	k.t.Helper()
	synctest.Wait()
	equal(k.t, "receipts", ended(k.src.receipts), receipts)
	k.src.receipts = nil
}

func twice(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	for _, v := range events {
		emit.Emit(v)
		emit.Emit(v)
	}
	return nil
}

func TestInputsAreFinishedWithTheLastOfWhatWasEmitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](twice))
		k.push(10)
		k.push(11)
		equal(t, "events", k.w.events(), []int{10, 10, 11, 11})
		k.want()
		k.w.settle(k.sub, 0, nil, 0, 2)
		k.want()
		k.w.settle(k.sub, 0, nil, 3)
		k.want("1 done")
		k.w.settle(k.sub, 0, errOops, 1)
		k.want("0 failed")
		equal(t, "in flight", snap(t, k.mid[0]).Subscriptions[1].InFlight, 0)
	})
}

func TestTheInputsOfAChunkEndTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](twice))
		k.push(10, 11)
		k.w.settle(k.sub, 0, nil, 0, 1, 2)
		k.want()
		k.w.settle(k.sub, 0, stage.Discard(receipt.Expired), 3)
		k.want("0 discarded expired", "1 discarded expired")
	})
}

func TestReceiptsPassSeveralStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := stage.ProducerConsumerFunc[int, int](twice)
		k := newChain(t, stage.SubscribeConfig{}, f, f, f)
		k.push(1)
		equal(t, "events", len(k.w.events()), 8)
		k.w.settle(k.sub, 0, nil, 0, 1, 2, 3, 4, 5, 6)
		k.want()
		k.w.settle(k.sub, 0, nil, 7)
		k.want("0 done")
	})
}

func TestInputsWithoutChildrenAreFinishedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		even := func(_ context.Context, v int) (bool, error) {
			if v == 5 {
				return false, errOops
			}
			return v%2 == 0, nil
		}
		k := newChain(t, stage.SubscribeConfig{}, stage.FilterFunc[int](even))
		k.push(1, 2, 3, 4, 5, 6)
		equal(t, "events", k.w.events(), []int{2, 4, 6})
		k.want("4 failed", "0 done", "2 done")
		equal(t, "failed", snap(t, k.mid[0]).Failed, 1)
		k.w.settle(k.sub, 0, nil, 1)
		k.want("3 done")
		k.w.settle(k.sub, 0, errOops, 0)
		k.w.settle(k.sub, 0, nil, 2)
		k.want("1 failed", "5 done")
	})
}

func TestOneOfManyFailsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		half := func(_ context.Context, v int) (int, error) {
			switch v {
			case 3:
				return 0, errOops
			case 5:
				return 0, stage.Discard(receipt.Expired)
			case 7:
				panic("seven")
			}
			return v / 2, nil
		}
		k := newChain(t, stage.SubscribeConfig{}, stage.MapFunc[int, int](half))
		k.push(1, 3, 5, 7, 9)
		equal(t, "events", k.w.events(), []int{0, 4})
		k.want("1 failed", "2 discarded expired", "3 failed")
		k.w.settle(k.sub, 0, nil, 1, 0)
		k.want("4 done", "0 done")
		equal(t, "failed", snap(t, k.mid[0]).Failed, 3)
		equal(t, "discarded", snap(t, k.p).Discarded[receipt.Expired], 1)
	})
}

func TestFlatMapKeepsInputsApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		times := func(_ context.Context, v int, emit func(int)) error {
			for range v {
				emit(v)
			}
			if v == 3 {
				return errOops // what it has emitted before counts for nothing
			}
			return nil
		}
		k := newChain(t, stage.SubscribeConfig{}, stage.FlatMapFunc[int, int](times))
		k.push(2, 0, 3, 1)
		equal(t, "events", k.w.events(), []int{2, 2, 1})
		k.want("2 failed", "1 done")
		k.w.settle(k.sub, 0, nil, 2, 0)
		k.want("3 done")
		k.w.settle(k.sub, 0, nil, 1)
		k.want("0 done")
	})
}

func TestFlatMapEndsBeforeAnEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		until := func(_ context.Context, v int, emit func(int)) error {
			emit(v)
			if v == 2 {
				return stage.ErrDone // the event is given back, and what it has emitted taken back
			}
			return nil
		}
		k := newChain(t, stage.SubscribeConfig{Cancel: stage.Temporary}, stage.FlatMapFunc[int, int](until))
		k.push(1, 2, 3)
		equal(t, "events", k.w.events(), []int{1})
		k.w.settle(k.sub, 0, nil, 0)
		k.want("0 done", "1 abandoned", "2 abandoned")
	})
}

// pairs holds every event until the next one comes and emits the sum of both.
type pairs struct {
	pipe
	flushes bool
	first   int
	held    []stage.Held
}

func (p *pairs) HandleEvents(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	for i, v := range events {
		p.held = append(p.held, emit.Hold(i))
		if len(p.held) == 1 {
			p.first = v
			continue
		}
		emit.For(p.held...)
		emit.Emit(p.first + v)
		p.held = p.held[:0]
	}
	return nil
}

func (p *pairs) HandleFlush(context.Context) error {
	if p.flushes && len(p.held) > 0 {
		p.emit.For(p.held...)
		p.emit.Emit(p.first)
		p.held = nil
	}
	return nil
}

func TestGatheredInputsEndWithWhatIsMadeOfThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, &pairs{pipe: *newPipe(0)})
		k.push(1, 2, 3)
		k.push(4)
		equal(t, "events", k.w.events(), []int{3, 7})
		k.w.settle(k.sub, 0, nil, 1)
		k.want("2 done", "3 done")
		k.w.settle(k.sub, 0, errOops, 0)
		k.want("0 failed", "1 failed")
	})
}

func TestWhatIsHeldAtTheEndIsFlushedOrGivenBack(t *testing.T) {
	for _, flushes := range []bool{true, false} {
		t.Run(fmt.Sprint(flushes), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newChain(t, stage.SubscribeConfig{}, &pairs{pipe: *newPipe(0), flushes: flushes})
				k.push(1, 2, 3)
				k.p.Drain()
				synctest.Wait()
				if flushes {
					equal(t, "events", k.w.events(), []int{3, 3})
					k.w.settle(k.sub, 0, nil, 0, 1)
					k.want("0 done", "1 done", "2 done")
				} else {
					equal(t, "events", k.w.events(), []int{3})
					k.w.settle(k.sub, 0, nil, 0)
					k.want("2 abandoned", "0 done", "1 done")
				}
				died(t, k.mid[0], nil)
				died(t, k.p, nil)
			})
		})
	}
}

func TestHeldInputCanBeFinishedWithoutAnEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var before stage.Held
		latest := stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
			for i, v := range events {
				emit.Finish(stage.Discard(receipt.Conflated), before)
				if before = emit.Hold(i); v%10 == 0 {
					emit.For(before, before)
					emit.Emit(v)
				}
			}
			return nil
		})
		k := newChain(t, stage.SubscribeConfig{}, latest)
		k.push(1, 2)
		k.push(3, 10, 4)
		equal(t, "events", k.w.events(), []int{10})
		k.want("0 discarded conflated", "1 discarded conflated", "2 discarded conflated")
		k.w.settle(k.sub, 0, nil, 0)
		k.want("3 done")
	})
}

func TestAbandonedChildMakesTheInputAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](twice))
		k.push(1)
		k.w.settle(k.sub, 0, nil, 0)
		k.c.Stop(errOops)
		k.want("0 abandoned")
		equal(t, "abandoned", snap(t, k.p).Abandoned, 1)
	})
}

func TestRedeliverGivesTheInputAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{Redeliver: true}, stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return v, nil }))
		k.push(1, 2)
		k.w.settle(k.sub, 0, nil, 0)
		k.c.Stop(errOops)
		synctest.Wait()
		k.want("0 done")
		again := &pool{}
		sub := subscribe(t, startJoining(t, k.mid[0], again), k.mid[0], stage.SubscribeConfig{MaxDemand: 5})
		synctest.Wait()
		equal(t, "events", again.events(), []int{2})
		again.settle(sub, 0, nil, 0)
		k.want("1 done")
	})
}

// startJoining starts a consumer that is not subscribed yet.
func startJoining(t *testing.T, _ stage.Stage, w *pool) *stage.ConsumerStage[int] {
	t.Helper()
	c := consumer(w, "again")
	start(t, c)
	return c
}

func TestDeadTransformGivesItsInputsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{Redeliver: true, Cancel: stage.Temporary}, stage.ProducerConsumerFunc[int, int](twice))
		k.push(1, 2)
		k.mid[0].Stop(errOops)
		synctest.Wait()
		k.want()
		equal(t, "buffered again", snap(t, k.p).Buffered, 2)
	})
}

func TestFanOutEndsWithTheLastSubscriber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{})
		m := between(stage.ProducerConsumerFunc[int, int](twice), stage.ProducerConfig[int]{Dispatcher: dispatcher.NewBroadcast[int]()})
		subscribePC(t, m, p, stage.SubscribeConfig{})
		var subs []*stage.Subscription[int]
		var pools []*pool
		stages := []stage.Stage{p, m}
		for i := range 2 {
			w := &pool{}
			c := consumer(w, fmt.Sprint("W", i))
			subs = append(subs, subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10}))
			pools, stages = append(pools, w), append(stages, c)
		}
		start(t, stages...)
		push(t, p, &src.source, 1)
		pools[0].settle(subs[0], 0, nil, 0, 1)
		pools[1].settle(subs[1], 0, errOops, 0)
		equal(t, "receipts", ended(src.receipts), []string(nil))
		pools[1].settle(subs[1], 0, nil, 1)
		equal(t, "receipts", ended(src.receipts), []string{"0 failed"})
	})
}

func TestFanInKeepsSourcesApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &acking{}, &source{}
		pa, pb := producer(a, stage.ProducerConfig[int]{}), producer(b, stage.ProducerConfig[int]{})
		m := between(stage.ProducerConsumerFunc[int, int](twice), stage.ProducerConfig[int]{})
		subscribePC(t, m, pa, stage.SubscribeConfig{})
		subscribePC(t, m, pb, stage.SubscribeConfig{})
		w := &pool{}
		c := consumer(w, "W")
		sub := subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10})
		start(t, pa, pb, m, c)
		push(t, pb, b, 1) // before anything wants a receipt
		push(t, pa, &a.source, 2)
		push(t, pb, b, 3)
		equal(t, "events", w.events(), []int{1, 1, 2, 2, 3, 3})
		w.settle(sub, 0, nil, 0, 1, 4, 5, 2)
		equal(t, "receipts", ended(a.receipts), []string(nil))
		w.settle(sub, 0, nil, 3)
		equal(t, "receipts", ended(a.receipts), []string{"0 done"})
	})
}

// A drain waits for the end of what was emitted, and the source hears of it.
func TestDrainWaitsForWhatWasEmitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](twice))
		k.push(1)
		k.p.Drain()
		k.mid[0].Drain()
		synctest.Wait()
		k.want()
		k.w.settle(k.sub, 0, nil, 1, 0)
		k.want("0 done")
		for _, s := range []stage.Stage{k.p, k.mid[0]} {
			died(t, s, nil)
		}
	})
}

func TestFailOfAnInputThatIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newChain(t, stage.SubscribeConfig{}, stage.ProducerConsumerFunc[int, int](func(_ context.Context, _ []int, emit *stage.Emitter[int]) error {
			emit.Fail(7, errOops)
			return nil
		}))
		k.push(1)
		<-k.mid[0].Stopped()
		var refused *stage.OptionError
		if err := k.mid[0].Err(); !errors.As(err, &refused) || refused.Value != 7 {
			t.Fatal(err)
		}
		k.want("0 abandoned")
	})
}

// What a handler says of its inputs costs nothing where no source wants receipts,
// and events that failed alone are counted all the same.
func TestFailWithoutReceipts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{}
		p := producer(src, stage.ProducerConfig[int]{})
		m := between(stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) {
			if v < 0 {
				return 0, errOops
			}
			return v, nil
		}), stage.ProducerConfig[int]{})
		subscribePC(t, m, p, stage.SubscribeConfig{})
		c := newSink()
		cs := consumer(c, "C")
		subscribe(t, cs, m, stage.SubscribeConfig{})
		start(t, p, m, cs)
		push(t, p, src, 1, -2, 3)
		equal(t, "events", c.events(), []int{1, 3})
		equal(t, "failed", snap(t, m).Failed, 1)
		if slices.Contains(c.events(), -2) {
			t.Fatal(c.events())
		}
	})
}

// One consumer after the other fails over the same event, two stages below the
// subscription that redelivers. The events that only waited with it survive.
func TestEventsThatOnlyWaitedAreRedeliveredThroughATransform(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &acking{}
		p := producer(src, stage.ProducerConfig[int]{})
		m := between(stage.MapFunc[int, int](func(_ context.Context, v int) (int, error) { return v, nil }), stage.ProducerConfig[int]{})
		subscribePC(t, m, p, stage.SubscribeConfig{Redeliver: true, Cancel: stage.Temporary})
		start(t, p, m)
		push(t, p, &src.source, 1, 2, 3)
		var handled []int
		for range 3 {
			c := stage.Must(stage.NewConsumer(stage.ConsumerFunc[int](func(_ context.Context, events []int) error {
				if slices.Contains(events, 1) {
					return errOops
				}
				handled = append(handled, events...)
				return nil
			}), stage.ConsumerConfig{}))
			subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10, MinDemand: 9}) // one event at a time
			start(t, c)
		}
		equal(t, "handled", handled, []int{2, 3})
		equal(t, "receipts", ended(src.receipts), []string{"0 abandoned", "1 done", "2 done"})
	})
}
