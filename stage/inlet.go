package stage

import (
	"context"
	"slices"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
)

// spentLimit is the number of emptied batches that a consumer keeps before it
// returns them although it has nothing to ask for.
const spentLimit = 8

// inlet is the consuming side of a stage. It belongs to the stage's goroutine, as does the
// consumer's half of each subscription in subs.
type inlet[T any] struct {
	// Each round of a consumer uses these.
	handled int64
	batches int64
	// live counts the subscriptions that have joined and not said goodbye.
	live    int
	waiting int  // those of them that only wait for the end of their inputs
	done    bool // a permanent subscription has ended in good order
	scrubs  bool // events refer to other memory, so that what is kept of them is cleared
	traces  inTraces[T]
	// The others are used less often.
	queue     ring.Ring[arrival[T]] // of a producer-consumer without demand
	subs      []*Subscription[T]
	unbegun   []unbegun[T] // those of live whose producers had not been started
	stalled   int          // those of live whose producer waits for receipts
	failures  tally        // inputs that failed alone
	unowned   tally        // events that were emitted for no input, beside inputs that are held
	unhandled int64        // events whose producer stopped before this stage did
	withdrawn int64        // events that were not handled, since their source has asked them back
}

// arrival is a batch, the end of a subscription if batch is nil, or a message that waits
// for those before it if sub is nil too. other is that message, or the error of the end.
type arrival[T any] struct {
	sub   *Subscription[T]
	batch *batch[T]
	other any
}

func newInlet[T any]() *inlet[T] { return &inlet[T]{scrubs: hasPointers[T]()} }

// has reports whether s has joined and not ended.
func (in *inlet[T]) has(s *Subscription[T]) bool { return slices.Contains(in.subs, s) }

// join sends a subscription to its producer, together with its first demand.
// HandleSubscribe may refuse it before that. A stage that drains joins nothing: the
// subscription ends with ErrDone at once.
func (e *engine[In, Out]) join(s *Subscription[In]) {
	if e.isDry() || e.draining {
		s.finish(ErrDone)
		return
	}
	if f := e.do.Subscribe; f != nil {
		e.running = "HandleSubscribe"
		if err := f(e.ctx, s.info.seenBy(consuming)); err != nil {
			s.finish(err)
			return
		}
	}
	e.in.subs = append(e.in.subs, s)
	e.in.live++
	e.ebbing = false
	if !s.up.begun() {
		e.in.unbegun = append(e.in.unbegun, unbegun[In]{s, time.Now()})
	}
	// The subscription is among subs by now, so that its end takes the usual way.
	if !s.up.postSubscribe(s) {
		e.upstreamEnded(s, s.up.why())
		return
	}
	if !s.manual {
		s.owed = s.maxDemand
		if n := s.passOn(s.maxDemand); n > 0 {
			s.up.postAsk(s, n, 0, nil, nil)
		}
	}
}

// arrived handles a batch, or queues it if there is no demand for the events made
// of it.
func (e *engine[In, Out]) arrived(s *Subscription[In], b *batch[In]) {
	// Nothing is given back: the producer has been told the end.
	if s.intake == intakeOver {
		return // cancelled before its producer was started
	}
	// The first tracked batch makes the subscription a tracked one, for good.
	s.arrived += len(b.events)
	if s.stalled {
		e.flows(s) // a producer that stalls again says so again
	}
	if b.tracked && !s.wanted {
		s.wanted = true
		s.costs.Store(b.costs)
		s.wants.Store(true)
		if e.out != nil {
			e.follow()
		}
	}
	if e.out != nil {
		e.in.queue.Push(arrival[In]{sub: s, batch: b})
		return
	}
	e.consume(s, b)
}

// consumeQueued handles queued batches while there is demand. Messages and ends in the
// queue need none, and are taken in their turn. Each batch is followed by produce, so that
// room reports the demand that its events have left.
func (e *engine[In, Out]) consumeQueued() {
	q := &e.in.queue
	for q.Len() > 0 && !e.isOver() {
		head := q.At(0)
		sub, batch, other := head.sub, head.batch, head.other
		if batch != nil && !e.isDry() && !e.out.room() {
			return
		}
		q.Shift()
		switch {
		case sub == nil:
			e.pin(other)
		case batch == nil:
			e.over(sub, other.(error))
		case !e.isDry(): // otherwise the handler needs no more
			e.consume(sub, batch)
		}
		if e.out.stirs() {
			e.produce()
		}
	}
}

// consume passes a batch to the handler in chunks of at most MaxDemand-MinDemand events,
// and asks for more after each chunk that brought the open demand to its minimum. Events of
// a careful batch are passed one by one, so that only one is in hand if the handler fails. A
// handler of deliveries gets the batch at once and asks itself.
//
// If the handler fails, the rest of the batch is dropped: it counts as unhandled in the
// farewell.
func (e *engine[In, Out]) consume(s *Subscription[In], b *batch[In]) {
	e.in.batches++
	e.gathering = true
	if s.asks {
		e.deliver(s, b)
		return
	}
	size := s.maxDemand - s.minDemand
	if s.manual {
		// With Manual, all events that arrived together are one chunk.
		size = max(1, len(b.events))
	}
	if b.careful {
		size = 1
	}
	position, at := s.received, 0
	s.received += uint64(b.size())
	// A full chunk suggests that more is on its way.
	e.brisk = len(b.events) >= size
	for {
		if s.withdrawn.Load() != nil || b.pierced() {
			position += e.pass(s, b, at, position)
			if at == len(b.events) {
				e.giveBackBatch(s, b, 0)
				return
			}
		}
		chunk := e.in.traces.limit(b.events[at:min(at+size, b.until())])
		at += len(chunk)
		in := inputs[In]{position: position, n: len(chunk)}
		position += uint64(len(chunk))
		e.running = "HandleEvents"
		// If the handler panics now, farewell names these events as the possible cause.
		s.inHand = len(chunk)
		err := e.call(s, chunk, in)
		if err != nil && err != ErrDone {
			e.check(err)
			return
		}
		if poison.Load() {
			clear(chunk)
		}
		if err != nil && e.do.progress != nil {
			e.check(err) // what it has handled of these is seen in bye
			return
		}
		e.in.handled += int64(len(chunk))
		s.total += len(chunk)
		s.inHand = 0
		if e.out == nil || !s.wanted {
			s.handled += len(chunk) // otherwise receipts follow when the emitted events have them
		}
		if err != nil {
			e.check(err) // it has handled these and needs no more
			return
		}
		ask := 0
		if !s.manual {
			s.owed -= len(chunk)
			if s.owed <= s.minDemand {
				ask = s.maxDemand - s.owed
				s.owed = s.maxDemand
			}
		}
		if e.out != nil {
			e.out.serve()
		}
		switch {
		case at == len(b.events) && !b.pierced():
			e.giveBackBatch(s, b, ask)
			return
		case ask > 0:
			s.up.postAsk(s, s.passOn(ask), s.handled, nil, s.takePending())
			s.handled = 0
		}
	}
}

// transform passes a chunk to the handler of a producer-consumer and notes which events it
// has emitted for which input. On error the inputs stay open: the farewell gives them
// back.
func (e *engine[In, Out]) transform(ctx context.Context, s *Subscription[In], chunk []In, in inputs[In]) error {
	em := &e.out.emit
	if em.told() {
		e.out.serve() // of an earlier handler; it must not be taken for this one's
	}
	start := em.Len()
	if s.wanted {
		in.sub = s
		s.inputs += in.n
		// The emitter takes From, Hold and For only while receipts are wanted.
		em.tracked = true
	}
	em.chunk = len(chunk)
	var err error
	if f := e.do.pass; f != nil {
		err = f(ctx, Delivery[In]{Subscription: s, Events: chunk, First: in.position}, em)
	} else {
		err = e.do.transform(ctx, chunk, em)
	}
	em.chunk = 0
	if e.in.traces.calls != nil {
		e.in.traces.noteFailures(em.failures)
	}
	switch {
	case err != nil && err != ErrDone:
		// Nothing of the chunk is finished.
	case s.wanted || em.told():
		e.descend(in, start)
	}
	return err
}

// giveBackBatch returns an emptied batch, with the demand and the receipts that are due.
// If none is due the batch waits for others, up to spentLimit of them: one mail then
// returns a chain. A consumer whose producer wants receipts does not wait.
func (e *engine[In, Out]) giveBackBatch(s *Subscription[In], b *batch[In], ask int) {
	if s.deferred && poison.Load() {
		clear(b.events)
	}
	if b.holes != nil {
		b.holes = nil
	}
	b.next = s.spent
	s.spent = b
	s.spentCount++
	if ask > 0 || s.spentCount >= spentLimit || (s.wanted && !s.deferred && e.out == nil) {
		s.up.postAsk(s, s.passOn(ask), s.handled, s.spent, s.takePending())
		s.spent, s.scrubbed, s.spentCount, s.handled = nil, nil, 0, 0
	}
}
