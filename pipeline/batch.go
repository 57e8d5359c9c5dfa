package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// Batch adds a step that gathers events into slices. A slice belongs to the step that
// takes it: it is not used again. The events of a slice get their receipts when that step
// has finished it. An event for which Key, SizeOf or Cut panics fails alone, without a dead
// letter, since Batch has none.
//
// [EachBatch] and [MapBatch] gather as well, and give each event its own receipt.
func Batch[T any](from *Flow[T], cfg BatchConfig[T]) *Flow[[]T] {
	tracing.ReadSlices[T]()
	return transform(from, cfg.spec("batch", cfg.validateGathering), func(n *node) (stage.ProducerConsumer[T, []T], error) {
		own := cfg.withDefaults()
		if n.wary.Load() {
			own = own.warily()
		}
		return newBatcher(own), nil
	})
}

// batcher is the handler of a Batch step. It belongs to the stage's goroutine.
type batcher[T any] struct {
	gather *gatherer[T, batchPlace[T]]
	ins    inflows[T]
	clock  batchClock
	emit   *stage.Emitter[[]T]
	held   []stage.Held // of the batch that is being emitted
	name   string
	traces batchTraces[T]
}

// newBatcher returns the handler for a config with its defaults.
func newBatcher[T any](cfg BatchConfig[T]) *batcher[T] {
	return &batcher[T]{gather: newGatherer[T, batchPlace[T]](cfg.rule())}
}

// HandleEmitter implements stage.EmitterHandler.
func (b *batcher[T]) HandleEmitter(emit *stage.Emitter[[]T]) { b.emit = emit }

// HandleStart implements stage.StartHandler.
func (b *batcher[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	b.name = self.Name()
	b.traces.start(ctx)
	b.clock.start(self.Wake)
	return nil
}

// HandleEvents implements stage.ProducerConsumer; a batcher is given deliveries instead.
func (b *batcher[T]) HandleEvents(context.Context, []T, *stage.Emitter[[]T]) error {
	return errDeliveries
}

// HandleDelivery implements stage.TransformDeliveryHandler.
func (b *batcher[T]) HandleDelivery(_ context.Context, d stage.Delivery[T], _ *stage.Emitter[[]T]) error {
	in := b.ins.of(d.Subscription)
	in.arrived(len(d.Events))
	for at := 0; at < len(d.Events); {
		at = b.add(in, d.Events, at)
	}
	if in.full(0) {
		b.makeRoom(in)
	}
	b.rest()
	return nil
}

// add gathers the events from place at on, up to the first over which a function of the
// program panics, and returns the place to go on from.
func (b *batcher[T]) add(in *inflow[T], events []T, at int) (next int) {
	i := at
	var c trace.Context // of the event, if it is to have a span
	defer func() {
		if p := recover(); p != nil {
			err := crash.Of(p)
			b.emit.Fail(i, err)
			if c.IsValid() {
				endSpan(b.traces.handle(c, b.name), err)
			}
			in.held--
			next = i + 1
		}
	}()
	now := b.clock.now()
	for ; i < len(events); i++ {
		c = trace.Context{}
		c = b.traces.sampled(&events[i])
		// Hold follows, so that an event over which plan panics is not held.
		p := b.gather.plan(events[i])
		held := b.emit.Hold(i)
		b.gather.add(now, p, batchPlace[T]{in: in, held: held})
		b.traces.keep(c, held, b.name)
		b.pass()
	}
	return i
}

// makeRoom runs when nothing more can come from a subscription. It passes on the oldest
// batches, so that a part of the window is free: a single event at a time would cost more.
func (b *batcher[T]) makeRoom(in *inflow[T]) {
	for in.free(0) < max(1, in.max/8) && b.gather.passOldest(TriggerWindow) {
		b.pass()
	}
}

// pass emits what was closed.
func (b *batcher[T]) pass() {
	for g := b.gather.take(); g != nil; g = b.gather.take() {
		b.held = b.held[:0]
		for i := range g.places {
			b.held = append(b.held, g.places[i].held)
			g.places[i].in.held--
		}
		if !b.traces.open.Any() {
			b.emit.For(b.held...)
			b.emit.Emit(g.events)
			continue
		}
		_ = b.traces.passOn(b.name, b.held, func(trace.Context) error {
			b.emit.For(b.held...)
			b.emit.Emit(g.events)
			return nil
		})
	}
}

// rest ends a call of the stage: it asks for what there is room for, and sets the timer.
func (b *batcher[T]) rest() {
	for _, in := range b.ins.list {
		if n := in.ask(0); n > 0 {
			in.sub.Ask(n)
		}
	}
	if at, ok := b.gather.deadline(); ok {
		b.clock.wake(b.clock.now(), at)
	}
}

// HandleWake implements stage.WakeHandler: batches may be old enough.
func (b *batcher[T]) HandleWake(context.Context, *stage.Emitter[[]T]) error {
	now := b.clock.now()
	b.clock.rung(now)
	b.gather.expire(now)
	b.pass()
	b.rest()
	return nil
}

// HandleFlush implements stage.FlushHandler: nothing more can come.
func (b *batcher[T]) HandleFlush(context.Context) error {
	b.gather.flush()
	b.pass()
	b.rest()
	return nil
}

// HandleTerminate implements stage.TerminateHandler.
func (b *batcher[T]) HandleTerminate(context.Context, error) error {
	b.clock.stop()
	b.traces.open.Abandon()
	return nil
}

// HandleInspect implements stage.InspectHandler.
func (b *batcher[T]) HandleInspect() any {
	return BatchSnapshot{Open: b.gather.count, Gathered: b.gather.events, Batches: b.gather.begun, Size: b.gather.rule.size, Timeout: max(0, b.gather.rule.timeout)}
}
