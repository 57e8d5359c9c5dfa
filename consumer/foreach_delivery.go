package consumer

import (
	"context"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// forEach goes on after events that have failed. It gives each event its own receipt, and
// so takes deliveries.
type forEach[T any] struct {
	eachEvent[T]
	kept     ring.Ring[keptEvent[T]]        // since the pause of the first of them has begun
	handled  map[*stage.Subscription[T]]int // events that were not asked for again yet
	finished []stage.Finished
	buried   buried[T]
}

// HandleStart implements stage.StartHandler.
func (c *forEach[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	c.attempts.start(ctx, self)
	return c.buried.begin(ctx, self, c.cfg.Metrics, c.cfg.Logger)
}

// HandleTerminate implements stage.TerminateHandler.
func (c *forEach[T]) HandleTerminate(context.Context, error) error {
	c.attempts.end()
	return c.buried.end()
}

// keptEvent is an event that waits for its own next attempt, or behind one that does.
type keptEvent[T any] struct {
	sub      *stage.Subscription[T]
	position uint64
	event    T
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: Manual is refused.
func (c *forEach[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	return refuseManual("consumer.ForEach", cfg)
}

// HandleEvents implements stage.Consumer; events come as deliveries instead.
func (c *forEach[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler. Receipts are given after each portion of
// the events that are asked for at once, and when the delivery ends, whatever ends it.
func (c *forEach[T]) HandleDelivery(ctx context.Context, d stage.Delivery[T]) error {
	if c.attempts.resting {
		c.keep(d.Subscription, d.First, d.Events)
		return nil
	}
	n, err := c.handle(ctx, d.Subscription, d.First, d.Events)
	if c.attempts.resting {
		c.keep(d.Subscription, d.First+uint64(n), d.Events[n:])
	}
	return err
}

// HandleInfo implements stage.InfoHandler: it is how a pause is over, and how letters are
// stored.
func (c *forEach[T]) HandleInfo(ctx context.Context, msg any) error {
	if _, ok := msg.(stored); ok {
		c.buried.settle()
		return nil
	}
	if !c.attempts.over(msg) {
		return nil
	}
	for c.kept.Len() > 0 {
		k := c.kept.At(0)
		if _, err := c.handle(ctx, k.sub, k.position, []T{k.event}); err != nil || c.attempts.resting {
			return err
		}
		c.kept.Drop(1)
	}
	return nil
}

// keep takes events that have arrived during a pause, or that were left when it began.
func (c *forEach[T]) keep(sub *stage.Subscription[T], first uint64, events []T) {
	for i, event := range events {
		c.kept.Push(keptEvent[T]{sub: sub, position: first + uint64(i), event: event})
	}
}

// handle handles events of sub, the first of which has the position first, and returns how
// many it has handled. It ends with the first that is tried again: its pause has begun then.
func (c *forEach[T]) handle(ctx context.Context, sub *stage.Subscription[T], first uint64, events []T) (n int, err error) {
	info := sub.Info()
	group := info.MaxDemand - info.MinDemand
	c.finished = c.finished[:0]
	defer func() { c.settle(sub, group) }() // Failed may panic
	for i, event := range events {
		// A delivery may be large, and none of it needs to be handled after a stop.
		if ctx.Err() != nil {
			return i, ctx.Err()
		}
		next, err := c.call(ctx, event, sub.TraceContext(first+uint64(i)))
		switch {
		case next.again:
			c.attempts.rest(next.pause)
			return i, nil
		case err == nil || discarded(err):
		case err == stage.ErrDone:
			c.finished = append(c.finished, stage.Finished{Position: first + uint64(i)})
			return i, err
		case ctx.Err() != nil:
			return i, err // without a receipt
		}
		receipt := stage.Finished{Position: first + uint64(i), Err: err}
		if failed, ok := err.(*WorkerError); ok && c.buried.letters != nil {
			c.buried.bury(sub, receipt, event, failed.Err, failed.Attempt, c.since)
			continue
		}
		c.finished = append(c.finished, receipt)
		if len(c.finished) >= group {
			c.settle(sub, group)
		}
	}
	return len(events), nil
}

// settle gives the receipts, and asks for as many events as were handled once there are
// enough for a group.
func (c *forEach[T]) settle(sub *stage.Subscription[T], group int) {
	n := len(c.finished)
	if n == 0 {
		return
	}
	ask, known := c.handled[sub]
	if !known {
		for old := range c.handled {
			if old.Err() != nil {
				delete(c.handled, old)
			}
		}
	}
	if ask += n; ask < group {
		c.handled[sub] = ask
		ask = 0
	} else {
		c.handled[sub] = 0
	}
	sub.Settle(ask, c.finished...)
	clear(c.finished)
	c.finished = c.finished[:0]
}
