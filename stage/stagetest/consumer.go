package stagetest

import (
	"context"
	"slices"

	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/stage/internal/probe"
)

// Consumer calls a [stage.Consumer] without a stage. Its methods return the receipts that
// the handler has given, and are called by one goroutine. Functions that the handler does
// not have are left out. The errors are those of [Producer].
type Consumer[T any] struct {
	*bench[struct{}]
	h      *stage.ConsumerHandlers[T]
	sub    *stage.Subscription[T] // of a DeliveryHandler
	inputs int
	open   map[int]bool // inputs of a DeliveryHandler without a receipt
}

// NewConsumer makes a test of consumer. ctx is the context of its functions. HandleStart
// is called by Start, or before the first other call. An error is an [*OptionError], for
// instance from HandleSubscribeConfig.
func NewConsumer[T any](ctx context.Context, consumer stage.Consumer[T]) (*Consumer[T], error) {
	b, err := newBench[struct{}](ctx, consumer, false)
	if err != nil {
		return nil, err
	}
	c := &Consumer[T]{bench: b, h: stage.ResolveConsumer(consumer), open: make(map[int]bool)}
	b.do = c.h.Handlers
	if c.h.Delivery == nil {
		if err := owner.Needs("Events", c.h.Events, "a function"); err != nil {
			return nil, err
		}
	}
	if c.h.SubscribeConfig != nil {
		if err := c.h.SubscribeConfig(stage.SubscribeConfig{}); err != nil {
			return nil, err
		}
	}
	info := subscription(c.h.DefaultDemand)
	b.greet = greeting(b.ctx, b.do.Subscribe, info)
	c.sub = stage.NewSubscription[T](probe.Key{}, info, true, b.inbox.probe())
	return c, nil
}

// subscription describes the subscription on which a test's events arrive.
func subscription(demand func() (maxDemand, minDemand int)) stage.SubscriptionInfo {
	info := stage.SubscriptionInfo{Upstream: true, Producer: stageName + "-source", Consumer: stageName, MaxDemand: 1000, MinDemand: 500}
	if demand != nil {
		info.MaxDemand, info.MinDemand = demand()
	}
	return info
}

// greeting returns the call of HandleSubscribe, nil for a handler without it.
func greeting(ctx context.Context, f func(context.Context, stage.SubscriptionInfo) error, info stage.SubscriptionInfo) func() error {
	if f == nil {
		return nil
	}
	return func() error { return f(ctx, info) }
}

// Start calls HandleStart, and HandleSubscribe for the subscription on which the test's
// events arrive.
func (c *Consumer[T]) Start() ([]Ended, error) {
	err := c.start(nil)
	return c.taken(err)
}

// Events calls HandleEvents with a copy of events, at least one, and wipes it
// afterwards. For a [stage.DeliveryHandler] it calls HandleDelivery; receipts that are
// given later come from Next or Settled.
func (c *Consumer[T]) Events(events ...T) ([]Ended, error) {
	if len(events) == 0 {
		return nil, owner.Refuse("Events", 0, "one event or more")
	}
	if ended, err := c.Start(); err != nil {
		return ended, err
	}
	if c.phase == dry {
		return nil, stage.ErrDone
	}
	chunk, first := slices.Clone(events), c.inputs
	c.inputs += len(events)
	if c.h.Delivery != nil {
		for i := range events {
			c.open[first+i] = true
		}
		err := c.call("HandleDelivery", 0, 0, func() error {
			return c.h.Delivery(c.ctx, stage.Delivery[T]{Subscription: c.sub, Events: chunk, First: uint64(first)})
		})
		clear(chunk)
		return c.taken(err)
	}
	err := c.call("HandleEvents", 0, 0, func() error { return c.h.Events(c.ctx, chunk) })
	clear(chunk)
	n := len(events)
	switch {
	case err == nil:
	case c.h.Progress != nil:
		n = c.h.Progress()
	case err != stage.ErrDone:
		n = 0
	}
	ended := make([]Ended, n)
	for i := range ended {
		ended[i].Input = first + i
	}
	return ended, err
}

// Flush calls HandleFlush.
func (c *Consumer[T]) Flush() ([]Ended, error) {
	return c.run("HandleFlush", c.h.Flush == nil, func() error { return c.h.Flush(c.ctx) })
}

// Drain calls HandleDrain.
func (c *Consumer[T]) Drain() ([]Ended, error) {
	return c.run("HandleDrain", c.h.Drain == nil, func() error { return c.h.Drain(c.ctx) })
}

// Info calls HandleInfo.
func (c *Consumer[T]) Info(msg any) ([]Ended, error) {
	return c.run("HandleInfo", c.h.Info == nil, func() error { return c.h.Info(c.ctx, msg) })
}

// Tick calls HandleTick.
func (c *Consumer[T]) Tick() ([]Ended, error) {
	return c.run("HandleTick", c.do.Tick == nil, func() error { return c.do.Tick(c.ctx) })
}

// Cancel calls HandleCancel for the subscription on which the test's events arrive.
func (c *Consumer[T]) Cancel(reason error) ([]Ended, error) {
	return c.run("HandleCancel", c.h.Cancel == nil, func() error { return c.h.Cancel(c.ctx, c.sub.Info(), reason) })
}

// Next waits until the handler has given receipts with its subscription or is due by what
// it has asked for with its handle, from any goroutine, and calls HandleInfo or HandleTick
// for the latter. If ctx ends before that, the error is its cause.
func (c *Consumer[T]) Next(ctx context.Context) ([]Ended, error) {
	if ended, err := c.Start(); err != nil || len(ended) > 0 {
		return ended, err
	}
	for {
		e, err := c.inbox.await(ctx)
		switch {
		case err != nil:
			return nil, err
		case e.info:
			return c.Info(e.message)
		case e.tick:
			return c.Tick()
		case len(e.finished) > 0:
			return c.settled(e.finished, nil)
		}
		// A consumer has no HandleWake.
	}
}

// Settled returns the receipts that a [stage.DeliveryHandler] has given since the last
// call of a method that returned some. The error is an [*OptionError] for a position
// that was settled twice or never delivered.
func (c *Consumer[T]) Settled() ([]Ended, error) { return c.taken(nil) }

// Unsettled returns the number of events for which a [stage.DeliveryHandler] has given no
// receipt yet.
func (c *Consumer[T]) Unsettled() int { return len(c.open) }

// Asked returns how many events the handler has asked for with its subscription.
func (c *Consumer[T]) Asked() int { return c.inbox.askedFor() }

// Cancelled returns the reason with which the handler has cancelled its subscription, nil
// if it has not.
func (c *Consumer[T]) Cancelled() error { return c.inbox.cause() }

// run calls a function of the handler, which must have started.
func (c *Consumer[T]) run(name string, missing bool, f func() error) ([]Ended, error) {
	if ended, err := c.Start(); err != nil || missing {
		return ended, err
	}
	return c.taken(c.call(name, 0, 0, f))
}

// taken returns the receipts that have come, and err.
func (c *Consumer[T]) taken(err error) ([]Ended, error) { return c.settled(c.inbox.receipts(), err) }

// settled translates receipts. Each event has one.
func (c *Consumer[T]) settled(finished []stage.Finished, err error) (ended []Ended, _ error) {
	for _, f := range finished {
		if !c.open[int(f.Position)] {
			if err == nil {
				err = owner.Refuse("Settle", f.Position, "the position of an event without a receipt")
			}
			continue
		}
		delete(c.open, int(f.Position))
		ended = append(ended, endOf(int(f.Position), f.Err))
	}
	return ended, err
}
