package pipeline

import (
	"context"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/stage"
)

// EachBatch adds an end: f is called for batches of events, for up to Workers of them at
// once. Each event has its own receipt. The slice belongs to f until it returns.
//
// If f returns [consumer.EventErrors] the events named there have failed, and all others
// were handled; the failed ones are tried again by the policy, together and without the
// others. Any other error, or a panic, fails the batch, which is tried again as it is. With
// Split it is halved after its last attempt. A [stage.DiscardError] drops a batch, or an
// event, on purpose.
func EachBatch[T any](from *Flow[T], f func(ctx context.Context, events []T) error, cfg BatchConfig[T]) {
	check := func(owner option.Owner) error {
		return option.First(owner.Needs("f", f, "a function"), cfg.validate(owner))
	}
	end(from, cfg.spec("each-batch", check), func(n *node) (stage.Consumer[T], error) {
		at, err := n.place(cfg.DeadLetters)
		return newBatchSink(f, cfg.within(n.p), at), err
	})
}

// batchNews wakes an end: there is something to collect, or a batch is old enough.
type batchNews struct{}

// batchSink is the handler of EachBatch.
type batchSink[T any] struct {
	*batchStep[T, struct{}]
	give func(e *batchEnd[T, batchPlace[T]])
}

// newBatchSink returns the handler of EachBatch for a config with its defaults.
func newBatchSink[T any](f func(ctx context.Context, events []T) error, cfg BatchConfig[T], at stepPlace) *batchSink[T] {
	b := &batchSink[T]{batchStep: newBatchStep(func(ctx context.Context, events []T) ([]struct{}, error) { return nil, f(ctx, events) }, cfg, at)}
	b.give = b.receipts
	b.wake = func() { b.self.Send(batchNews{}) }
	return b
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: the step asks itself.
func (b *batchSink[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return stepOwner(b.at.stage).Check(!cfg.Manual, "Manual", cfg.Manual, "false: the step asks as its window allows")
}

// HandleEvents implements stage.Consumer; the step is given deliveries instead.
func (b *batchSink[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (b *batchSink[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	b.gatherAll(d, nil)
	return b.turn()
}

// HandleInfo implements stage.InfoHandler.
func (b *batchSink[T]) HandleInfo(_ context.Context, msg any) error {
	if _, ok := msg.(batchNews); !ok {
		return nil
	}
	b.clock.rung(b.clock.now())
	return b.turn()
}

// HandleFlush implements stage.FlushHandler: nothing more can come.
func (b *batchSink[T]) HandleFlush(context.Context) error {
	b.gather.hurry()
	return b.turn()
}

// turn does all that can be done: receipts, batches that are due, asking for more.
func (b *batchSink[T]) turn() error {
	done := b.collect(b.give)
	b.pass(b.clock.now())
	spare := b.spare()
	for _, in := range b.ins.list {
		in.finished = give(in.sub, in.ask(spare), in.finished)
	}
	if err := b.stopped(); err != nil {
		return err
	}
	if done {
		return stage.ErrDone
	}
	return nil
}

// receipts notes the receipts of events that have ended.
func (b *batchSink[T]) receipts(e *batchEnd[T, batchPlace[T]]) {
	for i := range e.places {
		p := &e.places[i]
		p.in.finished = append(p.in.finished, stage.Finished{Position: p.position, Err: e.err, Cost: e.cost})
		p.in.held--
	}
}
