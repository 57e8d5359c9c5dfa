package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// MapBatch adds a step that makes one event of each, many at a time: f is called for
// batches of events, such as for a bulk request, and returns as many results, in the same
// order. Another number of results fails the batch for good. Errors are as for
// [EachBatch]; the result of an event that consumer.EventErrors name is not used.
//
// With one worker and no Key, results are emitted when their batch has ended, in the order
// of the events, also if some of them were tried again. Otherwise the result of an event that
// is tried again comes after the others, which do not wait for it.
func MapBatch[In, Out any](from *Flow[In], f func(ctx context.Context, events []In) ([]Out, error), cfg BatchConfig[In]) *Flow[Out] {
	check := func(owner option.Owner) error {
		return option.First(owner.Needs("f", f, "a function"), cfg.validate(owner))
	}
	return transform(from, cfg.spec("map-batch", check), func(n *node) (stage.ProducerConsumer[In, Out], error) {
		at, err := n.place(cfg.DeadLetters)
		return newBatchMapper(f, cfg.within(n.p), at), err
	})
}

// batchMapper is the handler of MapBatch.
type batchMapper[In, Out any] struct {
	*batchStep[In, Out]
	emit *stage.Emitter[Out]
	give func(e *batchEnd[In, batchPlace[In]])
	hold func(i int) stage.Held
}

// newBatchMapper returns the handler of MapBatch for a config with its defaults.
func newBatchMapper[In, Out any](f batchFunc[In, Out], cfg BatchConfig[In], at stepPlace) *batchMapper[In, Out] {
	call := func(ctx context.Context, events []In) ([]Out, error) {
		n := len(events)
		out, err := f(ctx, events)
		if v := batchVerdictOf(err, n); len(out) != n && v.failed == nil && v.whole == nil {
			return nil, retry.Never(fmt.Errorf("%d results for a batch of %d", len(out), n))
		}
		if _, lent := any(out).([]In); lent {
			out = slices.Clone(out) // it may be the slice of events, which is used again
		}
		return out, err
	}
	b := &batchMapper[In, Out]{batchStep: newBatchStep(call, cfg, at)}
	b.ordered = cfg.Key == nil && cfg.Workers == 1
	b.give = b.results
	b.wake = func() { b.self.Wake() }
	return b
}

// HandleEmitter implements stage.EmitterHandler.
func (b *batchMapper[In, Out]) HandleEmitter(emit *stage.Emitter[Out]) {
	b.emit, b.hold = emit, emit.Hold
}

// HandleEvents implements stage.ProducerConsumer; the step is given deliveries instead.
func (b *batchMapper[In, Out]) HandleEvents(context.Context, []In, *stage.Emitter[Out]) error {
	return errDeliveries
}

// HandleDelivery implements stage.TransformDeliveryHandler.
func (b *batchMapper[In, Out]) HandleDelivery(_ context.Context, d stage.Delivery[In], _ *stage.Emitter[Out]) error {
	b.gatherAll(d, b.hold)
	return b.turn()
}

// HandleWake implements stage.WakeHandler.
func (b *batchMapper[In, Out]) HandleWake(context.Context, *stage.Emitter[Out]) error {
	b.clock.rung(b.clock.now())
	return b.turn()
}

// HandleFlush implements stage.FlushHandler: nothing more can come.
func (b *batchMapper[In, Out]) HandleFlush(context.Context) error {
	b.gather.hurry()
	return b.turn()
}

// HandleBusy implements stage.BusyHandler.
func (b *batchMapper[In, Out]) HandleBusy() bool { return !b.gather.empty() || b.pool.busy() }

// turn does all that can be done: results, batches that are due, asking for more.
func (b *batchMapper[In, Out]) turn() error {
	done := b.collect(b.give)
	b.pass(b.clock.now())
	spare := b.spare()
	for _, in := range b.ins.list {
		if n := in.ask(spare); n > 0 {
			_ = in.sub.Ask(n) // a refusal would be a mistake of the stage
		}
	}
	if err := b.stopped(); err != nil {
		return err
	}
	if done {
		return stage.ErrDone
	}
	return nil
}

// results emits the results of events that have ended.
func (b *batchMapper[In, Out]) results(e *batchEnd[In, batchPlace[In]]) {
	out, _ := e.out.([]Out) // none if a middleware has not called the function
	for i := range e.places {
		p := &e.places[i]
		p.in.held--
		b.traces.end(e.err, p.held)
		if e.err != nil || out == nil {
			b.emit.Finish(e.err, p.held)
			continue
		}
		b.emit.For(p.held)
		b.emit.Emit(out[e.at+i])
	}
}
