package stage

import (
	"github.com/penstock-go/penstock/internal/ring"
)

// spentLimit is how many emptied batches a consumer keeps before it returns
// them although it has nothing to ask for.
const spentLimit = 8

// inlet is the consuming side of a stage. It belongs to the stage's goroutine.
type inlet[T any] struct {
	subs    []*Subscription[T]
	live    int
	queue   ring.Ring[arrival[T]] // of a producer-consumer without demand
	handled int64
	batches int64
}

// arrival is a batch, or the end of a subscription if ended is set.
type arrival[T any] struct {
	sub   *Subscription[T]
	batch *batch[T]
	ended error
}

// join sends a subscription to its producer.
func (e *engine[In, Out]) join(s *Subscription[In]) {
	if h, ok := e.handler.(SubscribeHandler); ok && (e.cons != nil || e.both != nil) {
		e.running = "HandleSubscribe"
		if err := h.HandleSubscribe(e.ctx, s.info); err != nil {
			s.finish(err)
			return
		}
	}
	e.in.subs = append(e.in.subs, s)
	e.in.live++
	if !s.up.postSubscribe(s) {
		e.upstreamEnded(s, &SubscriptionError{Stage: e.name, Producer: s.info.Producer, Reason: ErrStopped})
		return
	}
	if !s.cfg.Manual {
		s.owed = s.info.MaxDemand
		s.up.postAsk(s, s.info.MaxDemand, 0, nil, nil)
	}
}

// arrived handles a batch, or queues it if there is no demand for what would
// become of it.
func (e *engine[In, Out]) arrived(s *Subscription[In], b *batch[In]) {
	if s.over {
		return
	}
	if e.both != nil {
		e.in.queue.Push(arrival[In]{sub: s, batch: b})
		return
	}
	e.consume(s, b)
}

// consumeQueued handles what is queued for as long as it may.
func (e *engine[In, Out]) consumeQueued() {
	q := &e.in.queue
	for q.Len() > 0 && !e.end {
		if head := q.At(0); head.ended == nil && !e.out.room() {
			return
		}
		a := q.Pop()
		if a.ended != nil {
			e.over(a.sub, a.ended)
			continue
		}
		e.consume(a.sub, a.batch)
		e.produce()
	}
}

// consume passes a batch to the handler in chunks, asking for more behind each
// chunk that brought the outstanding demand to its minimum.
func (e *engine[In, Out]) consume(s *Subscription[In], b *batch[In]) {
	e.in.batches++
	events := b.events
	if s.deferred {
		e.running = "HandleDelivery"
		first := s.received
		s.received += uint64(len(events))
		s.open.Add(int64(len(events)))
		e.in.handled += int64(len(events))
		e.check(e.defr.HandleDelivery(e.ctx, Delivery[In]{Subscription: s, Events: events, First: first}))
		e.giveBackBatch(s, b, 0)
		return
	}
	size := s.info.MaxDemand - s.info.MinDemand
	if s.cfg.Manual {
		size = len(events)
	}
	s.received += uint64(len(events))
	for len(events) > 0 {
		chunk := events[:min(size, len(events))]
		events = events[len(chunk):]
		e.running = "HandleEvents"
		if e.both != nil {
			e.check(e.both.HandleEvents(e.ctx, chunk, &e.out.emit))
		} else {
			e.check(e.cons.HandleEvents(e.ctx, chunk))
		}
		if e.end {
			return
		}
		e.in.handled += int64(len(chunk))
		s.handled += len(chunk)
		ask := 0
		if !s.cfg.Manual {
			s.owed -= len(chunk)
			if s.owed <= s.info.MinDemand {
				ask = s.info.MaxDemand - s.owed
				s.owed = s.info.MaxDemand
			}
		}
		if e.both != nil {
			e.out.serve()
		}
		switch {
		case len(events) == 0:
			e.giveBackBatch(s, b, ask)
		case ask > 0:
			s.up.postAsk(s, ask, s.handled, nil, nil)
			s.handled = 0
		}
	}
}

// giveBackBatch returns an emptied batch, with the demand and the receipts that
// are due. Where nothing is due it waits for company.
func (e *engine[In, Out]) giveBackBatch(s *Subscription[In], b *batch[In], ask int) {
	if poison.Load() {
		clear(b.events)
	}
	b.next = s.spent
	s.spent = b
	s.spentCount++
	if ask > 0 || s.spentCount >= spentLimit || (s.tracked && !s.deferred) {
		s.up.postAsk(s, ask, s.handled, s.spent, nil)
		s.spent, s.spentCount, s.handled = nil, 0, 0
	}
}

// upstreamEnded hears from the producer that a subscription is over; nothing
// arrives on it any more.
func (e *engine[In, Out]) upstreamEnded(s *Subscription[In], reason error) {
	if s.over {
		return
	}
	if e.both != nil && e.in.queue.Len() > 0 {
		e.in.queue.Push(arrival[In]{sub: s, ended: reason})
		return
	}
	e.over(s, reason)
}

// over ends a subscription once everything that came on it was finished.
func (e *engine[In, Out]) over(s *Subscription[In], reason error) {
	if s.deferred {
		s.reason = reason
		s.ending.Store(true)
		if s.open.Load() > 0 {
			return // Settle pokes the stage when the last one is finished
		}
	}
	e.goodbye(s, reason)
}

// farewell ends the subscriptions that were only waiting for receipts.
func (e *engine[In, Out]) farewell() {
	for i := 0; i < len(e.in.subs); i++ {
		if s := e.in.subs[i]; s.deferred && s.ending.Load() && s.open.Load() == 0 {
			e.goodbye(s, s.reason)
			i--
		}
		if e.end {
			return
		}
	}
}

func (e *engine[In, Out]) goodbye(s *Subscription[In], reason error) {
	for i, other := range e.in.subs {
		if other == s {
			e.in.subs = append(e.in.subs[:i], e.in.subs[i+1:]...)
			break
		}
	}
	e.in.live--
	if h, ok := e.handler.(CancelHandler); ok {
		e.running = "HandleCancel"
		e.check(h.HandleCancel(e.ctx, s.info, reason))
	}
	s.up.postBye(s, s.handled, reason)
	s.handled = 0
	s.finish(reason)
	switch {
	case isDone(reason):
		if s.cfg.Cancel == Permanent && e.in.live == 0 {
			e.finishConsuming(nil)
		}
	case s.cfg.Cancel == Permanent, s.cfg.Cancel == Transient && !normal(reason):
		e.finishConsuming(&SubscriptionError{Stage: e.name, Producer: s.info.Producer, Reason: reason})
	}
}

// finishConsuming ends the stage because of its upstream: at once after a
// failure, otherwise when what it has emitted has been taken.
func (e *engine[In, Out]) finishConsuming(reason error) {
	if reason != nil {
		e.stop(reason)
		return
	}
	e.dry = true
}

// leaveAll ends every subscription of a consumer that stops.
func (e *engine[In, Out]) leaveAll(reason error) {
	for _, s := range e.in.subs {
		s.up.postBye(s, s.handled, reason)
		s.finish(reason)
	}
	e.in.subs = nil
	e.in.live = 0
}
