package stagetest

import (
	"context"
	"slices"

	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/internal/probe"
)

// Emitted is an event that a handler has emitted.
type Emitted[T any] struct {
	Event T
	// Inputs are the numbers of the inputs that wait for the event's receipt, in
	// ascending order.
	Inputs []int
}

// Result is what came of one call.
type Result[T any] struct {
	// Emitted are the events, in the order in which they were emitted.
	Emitted []Emitted[T]
	// Ended are the inputs that have their receipt now.
	Ended []Ended
	// Held are the inputs that the handler holds now, also those of earlier calls.
	Held []int
}

// Events returns the emitted events without their inputs.
func (r Result[T]) Events() []T {
	events := make([]T, len(r.Emitted))
	for i, e := range r.Emitted {
		events[i] = e.Event
	}
	return events
}

// join adds the result of a later call.
func (r Result[T]) join(later Result[T]) Result[T] {
	later.Emitted = append(r.Emitted, later.Emitted...)
	later.Ended = append(r.Ended, later.Ended...)
	return later
}

// ProducerConsumer calls a [stage.ProducerConsumer] without a stage. Its methods return
// what came of the call, and are called by one goroutine. Functions that the handler does
// not have are left out. The errors are those of [Producer].
type ProducerConsumer[In, Out any] struct {
	*bench[Out]
	h    *stage.ProducerConsumerHandlers[In, Out]
	sub  *stage.Subscription[In] // of a TransformDeliveryHandler
	book ledger
}

// NewProducerConsumer makes a test of pc. ctx is the context of its functions. HandleStart
// is called by Start, or before the first other call. An error is an [*OptionError], for
// instance from HandleSubscribeConfig.
func NewProducerConsumer[In, Out any](ctx context.Context, pc stage.ProducerConsumer[In, Out]) (*ProducerConsumer[In, Out], error) {
	b, err := newBench[Out](ctx, pc, true)
	if err != nil {
		return nil, err
	}
	p := &ProducerConsumer[In, Out]{bench: b, h: stage.ResolveProducerConsumer(pc), book: newLedger()}
	b.do = p.h.Handlers
	if p.h.Delivery == nil {
		if err := owner.Needs("Events", p.h.Events, "a function"); err != nil {
			return nil, err
		}
	}
	if p.h.SubscribeConfig != nil {
		if err := p.h.SubscribeConfig(stage.SubscribeConfig{}); err != nil {
			return nil, err
		}
	}
	info := subscription(p.h.DefaultDemand)
	b.greet = greeting(b.ctx, b.do.Subscribe, info)
	p.sub = stage.NewSubscription[In](probe.Key{}, info, false, b.inbox.probe())
	return p, nil
}

// Start calls HandleEmitter, HandleStart, and HandleSubscribe for the subscription on
// which the test's events arrive.
func (p *ProducerConsumer[In, Out]) Start() (Result[Out], error) {
	err := p.start(p.h.Emitter)
	return p.take(), err
}

// Events calls HandleEvents with a copy of events, at least one, and wipes it
// afterwards. For a [stage.TransformDeliveryHandler] it calls HandleDelivery.
func (p *ProducerConsumer[In, Out]) Events(events ...In) (Result[Out], error) {
	if len(events) == 0 {
		return Result[Out]{}, owner.Refuse("Events", 0, "one event or more")
	}
	before, err := p.Start()
	switch {
	case err != nil:
		return before, err
	case p.phase == dry:
		return before, stage.ErrDone
	}
	chunk, first := slices.Clone(events), p.book.inputs
	p.book.inputs += len(events)
	if f := p.h.Delivery; f != nil {
		d := stage.Delivery[In]{Subscription: p.sub, Events: chunk, First: uint64(first)}
		err = p.call("HandleDelivery", first, len(chunk), func() error { return f(p.ctx, d, p.emit()) })
	} else {
		err = p.call("HandleEvents", first, len(chunk), func() error { return p.h.Events(p.ctx, chunk, p.emit()) })
	}
	clear(chunk)
	return before.join(p.take()), err
}

// Wake calls HandleWake.
func (p *ProducerConsumer[In, Out]) Wake() (Result[Out], error) {
	return p.run("HandleWake", p.h.Wake == nil, func() error { return p.h.Wake(p.ctx, p.emit()) })
}

// Flush calls HandleFlush.
func (p *ProducerConsumer[In, Out]) Flush() (Result[Out], error) {
	return p.run("HandleFlush", p.h.Flush == nil, func() error { return p.h.Flush(p.ctx) })
}

// Info calls HandleInfo.
func (p *ProducerConsumer[In, Out]) Info(msg any) (Result[Out], error) {
	return p.run("HandleInfo", p.h.Info == nil, func() error { return p.h.Info(p.ctx, msg) })
}

// Tick calls HandleTick.
func (p *ProducerConsumer[In, Out]) Tick() (Result[Out], error) {
	return p.run("HandleTick", p.do.Tick == nil, func() error { return p.do.Tick(p.ctx) })
}

// Receipts gives receipts for emitted events, which are numbered from 0 on: Ended has
// the inputs that waited for nothing else. A handler with HandleReceipts gets them as
// well. It refuses a second receipt for an event, and one for an event that was not
// emitted.
func (p *ProducerConsumer[In, Out]) Receipts(receipts ...stage.Receipt) (Result[Out], error) {
	ended, err := p.book.finish(receipts)
	if err != nil {
		return Result[Out]{}, err
	}
	r, err := p.run("HandleReceipts", p.h.Receipts == nil, func() error { return p.h.Receipts(p.ctx, receipts) })
	return Result[Out]{Ended: ended}.join(r), err
}

// Unfinished returns the number of emitted events without a receipt.
func (p *ProducerConsumer[In, Out]) Unfinished() int { return len(p.book.open) }

// Busy returns what HandleBusy does, false without it.
func (p *ProducerConsumer[In, Out]) Busy() bool { return p.h.Busy != nil && p.h.Busy() }

// Stalled returns what HandleStalled does, false without it.
func (p *ProducerConsumer[In, Out]) Stalled() bool { return p.h.Stalled != nil && p.h.Stalled() }

// Asked returns how many events a [stage.TransformDeliveryHandler] has asked for with its
// subscription.
func (p *ProducerConsumer[In, Out]) Asked() int { return p.inbox.askedFor() }

// Subscribe calls HandleSubscribe. The subscription of the test's events is there
// already.
func (p *ProducerConsumer[In, Out]) Subscribe(info stage.SubscriptionInfo) (Result[Out], error) {
	return p.run("HandleSubscribe", p.h.Subscribe == nil, func() error { return p.h.Subscribe(p.ctx, info) })
}

// Cancel calls HandleCancel.
func (p *ProducerConsumer[In, Out]) Cancel(info stage.SubscriptionInfo, reason error) (Result[Out], error) {
	return p.run("HandleCancel", p.h.Cancel == nil, func() error { return p.h.Cancel(p.ctx, info, reason) })
}

// Next waits until the handler is due by what it has asked for with its handle, from any
// goroutine, and calls HandleWake, HandleInfo or HandleTick. If ctx ends before that, the
// error is its cause.
func (p *ProducerConsumer[In, Out]) Next(ctx context.Context) (Result[Out], error) {
	if r, err := p.Start(); err != nil || len(r.Emitted) > 0 {
		return r, err
	}
	e, err := p.inbox.await(ctx)
	switch {
	case err != nil:
		return Result[Out]{}, err
	case e.info:
		return p.Info(e.message)
	case e.tick:
		return p.Tick()
	}
	return p.Wake()
}

// run calls a function of the handler, which must have started.
func (p *ProducerConsumer[In, Out]) run(name string, missing bool, f func() error) (Result[Out], error) {
	before, err := p.Start()
	if err != nil || missing {
		return before, err
	}
	err = p.call(name, 0, 0, f)
	return before.join(p.take()), err
}

// take enters what was emitted and said into the books.
func (p *ProducerConsumer[In, Out]) take() (r Result[Out]) {
	for i, event := range p.report.Events {
		p.book.emit(p.report.Inputs[i])
		r.Emitted = append(r.Emitted, Emitted[Out]{event, p.report.Inputs[i]})
	}
	for _, e := range p.report.Ended {
		r.Ended = append(r.Ended, endOf(e.Input, e.Err))
	}
	r.Held = p.report.Held
	p.report.Events, p.report.Inputs, p.report.Ended = nil, nil, nil
	return r
}
