package stagetest

import (
	"context"

	"github.com/penstock-go/penstock/stage"
)

// Producer calls a [stage.Producer] without a stage. Its methods return the events that
// the call has emitted, and are called by one goroutine. Functions that the handler does
// not have are left out. The error is [stage.ErrDone] if the handler has returned that,
// a [*stage.Error] if it has failed, an [*OptionError] for a wrong argument of the test,
// and stage.ErrStopped after the end.
type Producer[T any] struct {
	*bench[T]
	h    *stage.ProducerHandlers[T]
	book ledger
	owed int
}

// NewProducer makes a test of producer. ctx is the context of its functions. HandleStart
// is called by Start, or before the first other call. An error is an [*OptionError].
func NewProducer[T any](ctx context.Context, producer stage.Producer[T]) (*Producer[T], error) {
	b, err := newBench[T](ctx, producer, true)
	if err != nil {
		return nil, err
	}
	p := &Producer[T]{bench: b, h: stage.ResolveProducer(producer), book: newLedger()}
	b.do = p.h.Handlers
	if err := owner.Needs("Demand", p.h.Demand, "a function"); err != nil {
		return nil, err
	}
	return p, nil
}

// Start calls HandleEmitter and HandleStart.
func (p *Producer[T]) Start() (events []T, err error) {
	err = p.start(p.h.Emitter)
	return p.take(), err
}

// Demand calls HandleDemand with n, which must be 1 or more. After ErrDone it is not
// called again.
func (p *Producer[T]) Demand(n int) (events []T, err error) {
	if n < 1 {
		return nil, owner.Refuse("Demand", n, "1 or more")
	}
	return p.run("HandleDemand", false, func() error {
		p.owed += n
		return p.h.Demand(p.ctx, n, p.emit())
	})
}

// Owed returns the number of events that were demanded and not emitted yet.
func (p *Producer[T]) Owed() int { return p.owed }

// Wake calls HandleWake.
func (p *Producer[T]) Wake() (events []T, err error) {
	return p.run("HandleWake", p.h.Wake == nil, func() error { return p.h.Wake(p.ctx, p.emit()) })
}

// Info calls HandleInfo.
func (p *Producer[T]) Info(msg any) (events []T, err error) {
	return p.run("HandleInfo", p.h.Info == nil, func() error { return p.h.Info(p.ctx, msg) })
}

// Tick calls HandleTick.
func (p *Producer[T]) Tick() (events []T, err error) {
	return p.run("HandleTick", p.do.Tick == nil, func() error { return p.do.Tick(p.ctx) })
}

// Receipts calls HandleReceipts. Emitted events are numbered from 0 on. It refuses a
// second receipt for an event, and one for an event that was not emitted.
func (p *Producer[T]) Receipts(receipts ...stage.Receipt) (events []T, err error) {
	if _, err := p.book.finish(receipts); err != nil {
		return nil, err
	}
	return p.run("HandleReceipts", p.h.Receipts == nil, func() error { return p.h.Receipts(p.ctx, receipts) })
}

// Unfinished returns the number of emitted events without a receipt.
func (p *Producer[T]) Unfinished() int { return len(p.book.open) }

// Stalled returns what HandleStalled does, false without it.
func (p *Producer[T]) Stalled() bool { return p.h.Stalled != nil && p.h.Stalled() }

// Drain calls HandleDrain.
func (p *Producer[T]) Drain() (events []T, err error) {
	return p.run("HandleDrain", p.h.Drain == nil, func() error { return p.h.Drain(p.ctx) })
}

// Subscribe calls HandleSubscribe for a subscriber.
func (p *Producer[T]) Subscribe(info stage.SubscriptionInfo) (events []T, err error) {
	return p.run("HandleSubscribe", p.h.Subscribe == nil, func() error { return p.h.Subscribe(p.ctx, info) })
}

// Cancel calls HandleCancel for a subscriber.
func (p *Producer[T]) Cancel(info stage.SubscriptionInfo, reason error) (events []T, err error) {
	return p.run("HandleCancel", p.h.Cancel == nil, func() error { return p.h.Cancel(p.ctx, info, reason) })
}

// Next waits until the handler is due by what it has asked for with its handle, from any
// goroutine, and calls HandleWake, HandleInfo or HandleTick. If ctx ends before that, the
// error is its cause.
func (p *Producer[T]) Next(ctx context.Context) (events []T, err error) {
	if events, err = p.Start(); err != nil || len(events) > 0 {
		return events, err
	}
	e, err := p.inbox.await(ctx)
	switch {
	case err != nil:
		return nil, err
	case e.info:
		return p.Info(e.message)
	case e.tick:
		return p.Tick()
	}
	return p.Wake()
}

// run calls a function of the handler, which must have started.
func (p *Producer[T]) run(name string, missing bool, f func() error) (events []T, err error) {
	if events, err = p.Start(); err != nil || missing {
		return events, err
	}
	if p.phase == dry && (name == "HandleDemand" || name == "HandleWake") {
		return events, stage.ErrDone
	}
	err = p.call(name, 0, 0, f)
	return append(events, p.take()...), err
}

// take enters what was emitted into the books.
func (p *Producer[T]) take() []T {
	events := p.report.Events
	p.report.Events, p.report.Inputs = nil, nil
	for range events {
		p.book.emit(nil)
	}
	p.owed = max(0, p.owed-len(events))
	return events
}
