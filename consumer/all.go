package consumer

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/penstock-go/penstock/stage"
)

// All returns the events of source as an iterator for the calling goroutine:
//
//	for event, err := range consumer.All(ctx, source, stage.SubscribeConfig{}) {
//
// Each range over it is a subscription of its own. It asks for MaxDemand at the
// beginning and for more only as the loop reads on. The return of the body is the
// receipt for an event, also if it leaves the loop. Leaving the loop cancels the
// subscription: events that were delivered and not read are given back with
// Redeliver, and abandoned without. No goroutine is left.
//
// An error comes last and alone. It is the cause of ctx, a *stage.OptionError, or
// a *stage.SubscriptionError if the subscription has ended and its cancel mode does
// not let a consumer survive that: with Permanent any end but that of the events,
// with Transient a failure, with Temporary none. Manual is refused.
//
// The program starts source, before or during the loop. All does not stop it.
func All[T any](ctx context.Context, source stage.Output[T], cfg stage.SubscribeConfig) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := context.Cause(ctx); err != nil {
			yield(none, err)
			return
		}
		r := &reader[T]{arrived: make(chan struct{}, 1)}
		sink, err := stage.NewConsumer(r, stage.ConsumerConfig{})
		if err != nil {
			yield(none, err)
			return
		}
		inner := cfg
		inner.Cancel = stage.Temporary
		if cfg.Cancel > stage.Temporary {
			inner.Cancel = cfg.Cancel // Subscribe refuses it
		}
		sub, err := sink.Subscribe(source, inner)
		if err == nil {
			// The loop looks at ctx itself, so that its error is the cause of ctx.
			err = sink.Start(context.WithoutCancel(ctx))
		}
		if err != nil {
			yield(none, err)
			return
		}
		r.sub, r.owed = sub, sub.Info().MaxDemand
		err, left := r.readAll(ctx, sink, yield)
		if left {
			return
		}
		if err == nil {
			err = failureOf(sub, cfg.Cancel)
		}
		if err != nil {
			yield(none, err)
		}
	}
}

// reader hands deliveries from its stage to the loop. Two goroutines use it: the stage's
// appends to events, and the loop takes them.
type reader[T any] struct {
	arrived chan struct{} // holds one token at most

	// mu guards events, those that have arrived and that the loop has not taken.
	mu     sync.Mutex
	events []T

	// The rest belongs to the loop.
	sub      *stage.Subscription[T]
	owed     int    // asked for and not read yet
	next     uint64 // position of the first event without a receipt
	handled  int    // events read since then
	finished []stage.Finished
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (r *reader[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return refuseManual("consumer.All", cfg)
}

// HandleEvents implements stage.Consumer; a reader is given deliveries instead.
func (r *reader[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (r *reader[T]) HandleDelivery(_ context.Context, d stage.Delivery[T]) error {
	r.mu.Lock()
	r.events = append(r.events, d.Events...)
	r.mu.Unlock()
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	return nil
}

// take returns the events that have arrived. spent, the last ones, is used again; the two
// slices change places.
func (r *reader[T]) take(spent []T) []T {
	// The loop has read these; the array must not keep them alive.
	clear(spent)
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = spent[:0]
	return events
}

// readAll runs the loop, then ends the stage. left reports whether the body has
// left the loop.
func (r *reader[T]) readAll(ctx context.Context, sink *stage.ConsumerStage[T], yield func(T, error) bool) (err error, left bool) {
	defer func() { // also when the body panics
		r.settle(0)
		sink.Stop(stage.ErrCancelled)
		<-sink.Stopped()
	}()
	least := r.sub.Info().MinDemand
	var events []T
	for {
		select {
		case <-r.arrived:
		case <-r.sub.Done():
			return nil, false
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return context.Cause(ctx), false
		}
		events = r.take(events)
		for _, event := range events {
			// A body that panics leaves the event without a receipt.
			more := yield(event, nil)
			r.handled++
			if !more {
				return nil, true
			}
			if r.owed--; r.owed <= least {
				r.settle(r.sub.Info().MaxDemand - r.owed)
				r.owed = r.sub.Info().MaxDemand
			}
		}
		r.settle(0)
	}
}

// settle gives the receipts that are due and asks for n events more. It belongs to the
// loop, as do all calls of it.
func (r *reader[T]) settle(n int) {
	if n == 0 && r.handled == 0 {
		return
	}
	r.finished = receipts(r.sub, r.next, r.handled, r.finished)
	r.sub.Settle(n, r.finished...)
	r.next += uint64(r.handled)
	r.handled = 0
}

// failureOf returns the error that the end of sub is for a loop with that cancel
// mode, or nil.
func failureOf[T any](sub *stage.Subscription[T], mode stage.CancelMode) error {
	reason := sub.Err()
	switch {
	case reason == stage.ErrDone, mode == stage.Temporary:
		return nil
	case mode == stage.Transient && stage.Normal(reason):
		return nil
	}
	info := sub.Info()
	if told, ok := errors.AsType[*stage.SubscriptionError](reason); ok && told.Stage == info.Consumer {
		return reason
	}
	return &stage.SubscriptionError{Stage: info.Consumer, Producer: info.Producer, Reason: reason}
}
