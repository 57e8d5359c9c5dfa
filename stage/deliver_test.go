package stage_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// task is an event that a crew works on.
type task struct {
	event int
	held  stage.Held
}

// crew is a pool of workers inside a producer-consumer, whose work a test does. It is used
// on the stage's goroutine alone.
type crew struct {
	pipe
	at      []uint64 // First of each delivery
	tasks   []task
	flushes int
	plain   func(d stage.Delivery[int], emit *stage.Emitter[int]) error // instead of holding
}

func newCrew() *crew { return &crew{pipe: *newPipe(0)} }

func (c *crew) HandleDelivery(_ context.Context, d stage.Delivery[int], emit *stage.Emitter[int]) error {
	c.at = append(c.at, d.First)
	c.batches = append(c.batches, slices.Clone(d.Events))
	if c.plain != nil {
		return c.plain(d, emit)
	}
	for i, v := range d.Events {
		c.tasks = append(c.tasks, task{v, emit.Hold(i)})
	}
	return nil
}

func (c *crew) HandleFlush(context.Context) error { c.flushes++; return nil }

// work makes the crew emit what it has made of tasks, named by event, and waits until
// nothing happens any more. Times as many as pipe.times says, or once.
func (c *crew) work(t *testing.T, s stage.Stage, events ...int) {
	t.Helper()
	if !s.Do(func() { c.finish(nil, events...) }) {
		t.Fatal("the stage has stopped")
	}
	synctest.Wait()
}

// finish emits for each of the events, or gives it its end with an error.
func (c *crew) finish(err error, events ...int) {
	for _, v := range events {
		i := slices.IndexFunc(c.tasks, func(k task) bool { return k.event == v })
		k := c.tasks[i]
		c.tasks = slices.Delete(c.tasks, i, i+1)
		if err != nil {
			c.emit.Finish(err, k.held)
			continue
		}
		c.emit.For(k.held)
		c.emit.Emit(v)
	}
}

// A transform of deliveries asks for MaxDemand at the start of each subscription, and after
// that as its handler says, from any goroutine.
func TestTransformOfDeliveriesAsksItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first, second, h := &source{counting: true}, &source{counting: true, next: 100}, newCrew()
		p, q, m := producer(first, stage.ProducerConfig[int]{}), producer(second, stage.ProducerConfig[int]{Name: "Q"}), between(h, stage.ProducerConfig[int]{})
		c := consumer(newSink(), "C")
		one := subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 4})
		two := subscribePC(t, m, q, stage.SubscribeConfig{MaxDemand: 2})
		subscribe(t, c, m, stage.SubscribeConfig{})
		start(t, p, m, c)
		start(t, q)
		h.work(t, m, 0, 1, 2, 3, 100, 101)
		equal(t, "demands", [2][]int{first.demands, second.demands}, [2][]int{{4}, {2}})
		for _, ask := range []func() error{
			func() error { return one.Ask(3) },
			func() (err error) { m.Do(func() { err = two.Ask(1) }); synctest.Wait(); return err },
		} {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		equal(t, "demands", [2][]int{first.demands, second.demands}, [2][]int{{4, 3}, {2, 1}})
		equal(t, "batches", h.batches, [][]int{{0, 1, 2, 3}, {100, 101}, {4, 5, 6}, {102}})
		equal(t, "positions", h.at, []uint64{0, 0, 4, 2})
		var refused *stage.OptionError
		if err := one.Ask(0); !errors.As(err, &refused) {
			t.Fatal(err)
		}
	})
}

// With Manual the handler asks for the first events too.
func TestTransformOfDeliveriesWithManual(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h := &source{counting: true}, newCrew()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		sub := subscribePC(t, m, p, stage.SubscribeConfig{Manual: true})
		subscribe(t, c, m, stage.SubscribeConfig{})
		start(t, p, m, c)
		equal(t, "demands", len(src.demands), 0)
		if err := sub.Ask(2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "events", h.events(), []int{0, 1})
	})
}

// Each input that is held has its receipt when what was emitted for it later has one; an
// input that is neither held nor emitted for has it when the handler returns.
func TestReceiptsOfDeliveriesThroughATransform(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newCrew()
		k := newChain(t, stage.SubscribeConfig{}, h)
		k.push(10, 11, 12)
		k.want()
		h.work(t, k.mid[0], 12, 10)
		equal(t, "events", k.w.events(), []int{12, 10})
		k.w.settle(k.sub, 0, nil, 0)
		k.want("2 done")
		k.w.settle(k.sub, 0, errOops, 1)
		k.want("0 failed")
		k.mid[0].Do(func() { h.finish(stage.Discard(receipt.Expired), 11) })
		k.want("1 discarded expired")
		h.plain = func(_ stage.Delivery[int], emit *stage.Emitter[int]) error {
			h.tasks = append(h.tasks, task{21, emit.Hold(1)})
			emit.From(2)
			emit.Emit(22)
			emit.Fail(3, errOops)
			return nil
		}
		k.push(20, 21, 22, 23)
		k.want("6 failed", "3 done")
		k.w.settle(k.sub, 0, nil, 2)
		k.want("5 done")
		h.work(t, k.mid[0], 21)
		k.w.settle(k.sub, 0, nil, 3)
		k.want("4 done")
	})
}

// Deliveries wait while no subscriber asks for what would be made of them.
func TestDeliveriesWaitForDemand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h, dst := &source{counting: true}, newCrew(), newSink()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{MaxDemand: 3})
		sub := subscribe(t, c, m, stage.SubscribeConfig{Manual: true})
		start(t, p, m, c)
		equal(t, "queued, events", [2]int{snap(t, m).Queued, len(h.events())}, [2]int{1, 0})
		if err := sub.Ask(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "events", h.events(), []int{0, 1, 2})
	})
}

// What a transform of deliveries fails over is delivered again once, as are those that it
// still worked on; it may not name events that it was not given.
func TestFailureOfADelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h := &source{}, newCrew()
		p, m := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{})
		other, to := newSink(), newSink()
		c, d := consumer(to, "C"), consumer(other, "D")
		subscribePC(t, m, p, stage.SubscribeConfig{Redeliver: true})
		subscribe(t, c, m, stage.SubscribeConfig{Cancel: stage.Temporary})
		start(t, p, m, c)
		push(t, p, src, 1, 2)
		h.plain = func(stage.Delivery[int], *stage.Emitter[int]) error { return errOops }
		push(t, p, src, 3)
		died(t, m, errOops)
		subscribe(t, d, p, stage.SubscribeConfig{})
		start(t, d)
		equal(t, "events", other.events(), []int{1, 2, 3})
		equal(t, "emitted", len(to.events()), 0)
		lives(t, c)
	})
	bubble(t, func(t *testing.T) {
		src, h := &source{}, newCrew()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		h.plain = func(_ stage.Delivery[int], emit *stage.Emitter[int]) error { emit.Hold(2); return nil }
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{Cancel: stage.Temporary})
		start(t, p, m, c)
		push(t, p, src, 1, 2)
		var refused *stage.OptionError
		if !errors.As(m.Err(), &refused) || refused.Option != "Emitter.Hold" {
			t.Fatal(m.Err())
		}
	})
}
