package stage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/stage"
)

// busyCrew is a crew whose stage waits for its work.
type busyCrew struct{ crew }

func newBusyCrew() *busyCrew { return &busyCrew{*newCrew()} }

func (c *busyCrew) HandleBusy() bool { return len(c.tasks) > 0 }

// A stage that still works does not end before it has emitted the last, however its
// upstream has ended, with receipts and without.
func TestABusyStageDoesNotEnd(t *testing.T) {
	for name, end := range map[string]struct {
		cancel stage.CancelMode
		f      func(p stage.Stage, m stage.Stage)
	}{
		"upstream is done": {stage.Permanent, func(p, m stage.Stage) { p.Drain() }},
		"drain":            {stage.Permanent, func(p, m stage.Stage) { p.Drain(); m.Drain() }},
		"upstream failed":  {stage.Temporary, func(p, m stage.Stage) { p.Stop(errOops); synctest.Wait(); m.Drain() }},
	} {
		for _, receipts := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				acks := &acking{}
				var from stage.Producer[int] = &acks.source
				if receipts {
					from = acks
				}
				h, dst := newBusyCrew(), newSink()
				p, m, c := producer(from, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(dst, "C")
				subscribePC(t, m, p, stage.SubscribeConfig{Cancel: end.cancel})
				subscribe(t, c, m, stage.SubscribeConfig{})
				start(t, p, m, c)
				push(t, p, &acks.source, 1, 2, 3)
				flushes := h.flushes
				end.f(p, m)
				synctest.Wait()
				lives(t, m, c)
				equal(t, name+": flushed", h.flushes > flushes, true)
				h.work(t, m, 3)
				lives(t, m, c)
				equal(t, name+": events", dst.events(), []int{3})
				h.work(t, m, 1, 2)
				died(t, m, nil)
				died(t, c, nil)
				equal(t, name+": events", dst.events(), []int{3, 1, 2})
				equal(t, name+": unhandled", snap(t, m).Unhandled, 0)
				if receipts && name != "upstream failed" {
					equal(t, name+": receipts", len(ended(acks.receipts)), 3)
				}
			})
		}
	}
}

// A stop does not wait for a busy stage, and neither does the end of its last subscriber in
// a drain: its inputs are given back.
func TestWhatDoesNotWaitForABusyStage(t *testing.T) {
	for name, end := range map[string]func(m, c stage.Stage){
		"stop":          func(m, c stage.Stage) { m.Stop(nil) },
		"no subscriber": func(m, c stage.Stage) { c.Stop(nil); synctest.Wait(); m.Drain() },
	} {
		bubble(t, func(t *testing.T) {
			src, h := &source{}, newBusyCrew()
			p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
			subscribePC(t, m, p, stage.SubscribeConfig{Redeliver: true})
			subscribe(t, c, m, stage.SubscribeConfig{Cancel: stage.Temporary})
			start(t, p, m, c)
			push(t, p, src, 1, 2)
			end(m, c)
			synctest.Wait()
			died(t, m, nil)
			equal(t, name+": buffered again", snap(t, p).Buffered, 2)
		})
	}
}

// The handler is flushed again when something has happened since, and may then be busy again.
func TestABusyStageIsFlushedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h, dst := &source{}, &gleaner{busyCrew: *newBusyCrew()}, newSink()
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{})
		start(t, p, m, c)
		push(t, p, src, 1, 2)
		p.Drain()
		synctest.Wait()
		equal(t, "flushes", h.flushes, 1)
		h.worked = 2
		h.handle.Wake()
		synctest.Wait()
		equal(t, "flushes, tasks", [2]int{h.flushes, len(h.tasks)}, [2]int{2, 2})
		lives(t, m)
		h.work(t, m, 1, 2)
		died(t, m, nil)
		equal(t, "events", dst.events(), []int{1, 2})
	})
}

// gleaner works on events, gathers what it has worked on, and writes that when it is
// flushed, which is work as well.
type gleaner struct {
	busyCrew
	handle   *stage.Handle
	worked   int
	gathered []task
}

func (g *gleaner) HandleStart(_ context.Context, self *stage.Handle) error {
	g.handle = self
	return nil
}

func (g *gleaner) HandleWake(context.Context, *stage.Emitter[int]) error {
	g.gathered, g.tasks = g.tasks[:g.worked:g.worked], g.tasks[g.worked:]
	return nil
}

func (g *gleaner) HandleFlush(context.Context) error {
	g.flushes++
	g.tasks, g.gathered = append(g.tasks, g.gathered...), nil
	return nil
}

// bounded is a source that waits for receipts while anything is unfinished.
type bounded struct {
	acking
	emitted int
}

func (b *bounded) HandleStalled() bool { return b.emitted > len(ended(b.receipts)) }

// hoard is a consumer that gathers what it gets, and finishes it when it is flushed.
type hoard struct {
	pool
	open []uint64
}

func (h *hoard) HandleDelivery(ctx context.Context, d stage.Delivery[int]) error {
	for i := range d.Events {
		h.open = append(h.open, d.First+uint64(i))
	}
	return h.pool.HandleDelivery(ctx, d)
}

func (h *hoard) HandleFlush(context.Context) error {
	for _, at := range h.open {
		h.deliveries[0].Subscription.Settle(1, stage.Finished{Position: at})
	}
	h.open = nil
	return nil
}

// A busy stage between a source that waits for receipts and a consumer that gathers: what
// the work emits is passed on at once.
func TestABusyStagePassesAStallOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, h, dst := &bounded{}, newBusyCrew(), &hoard{}
		p, m, c := producer(src, stage.ProducerConfig[int]{}), between(h, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribePC(t, m, p, stage.SubscribeConfig{})
		subscribe(t, c, m, stage.SubscribeConfig{MaxDemand: 10})
		start(t, p, m, c)
		src.emitted = 3
		push(t, p, &src.source, 1, 2, 3)
		equal(t, "tasks", len(h.tasks), 3)
		for i, v := range []int{2, 3, 1} {
			h.work(t, m, v)
			equal(t, "receipts", len(ended(src.receipts)), i+1)
		}
	})
}
