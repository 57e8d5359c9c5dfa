package stage

import (
	"slices"
)

// Give implements dispatcher.Out: the events lo to hi-1 of the offer go to slot sub. If
// that is the whole offer, and the first thing that happens, the copy is put off: dispatch
// hands over the slice itself unless another event follows.
func (o *outlet[T]) Give(sub, lo, hi int) {
	s := o.recipient(sub, hi-lo)
	if s == nil || hi <= lo {
		return
	}
	// Noted before anything else: if the dispatcher panics after this the event was given.
	o.emission.marks.spans = append(o.emission.marks.spans, run2{lo, hi})
	for i := lo; o.awaiting && i < hi; i++ {
		o.leaves(o.offer.First + uint64(i))
	}
	if len(o.traces.waits) > 0 {
		o.traces.given(o.stage, o.offer.First+uint64(lo), hi-lo)
	}
	if o.tracking > 0 {
		o.shared.give(lo, hi, s.tracked)
		if s.tracked {
			s.flights.push(o.offer.First+uint64(lo), 0, hi-lo, o.offer.Events[lo:hi])
		}
	}
	// A batch of s that holds events already cannot be exchanged for the slice.
	if o.swappable && lo == 0 && hi == len(o.offer.Events) && o.whole == nil && s.out == nil {
		o.whole = s
		o.swappable = false
		return
	}
	o.copyWhole()
	b := o.batchFor(s)
	b.events = append(b.events, o.offer.Events[lo:hi]...)
}

// GiveEach implements dispatcher.EachGiver: it gives single events of the offer, by their
// indexes.
func (o *outlet[T]) GiveEach(sub int, at []int32) {
	s := o.recipient(sub, len(at))
	if s == nil || len(at) == 0 {
		return
	}
	o.copyWhole()
	o.emission.marks.given = append(o.emission.marks.given, at...)
	for i := 0; o.awaiting && i < len(at); i++ {
		o.leaves(o.offer.First + uint64(at[i]))
	}
	for i := 0; len(o.traces.waits) > 0 && i < len(at); i++ {
		o.traces.given(o.stage, o.offer.First+uint64(at[i]), 1)
	}
	b := o.batchFor(s)
	from := o.offer.Events
	n := len(b.events)
	b.events = slices.Grow(b.events, len(at))[:n+len(at)]
	to := b.events[n:]
	for i, k := range at[:len(to)] {
		to[i] = from[k]
	}
	if o.tracking > 0 {
		for _, k := range at {
			o.shared.give(int(k), int(k)+1, s.tracked)
			if s.tracked {
				s.flights.push(o.offer.First+uint64(k), 0, 1, from[k:k+1])
			}
		}
	}
}

// GiveHeld implements dispatcher.Out: it gives an event of an earlier offer. The ticket
// comes back with the receipt.
func (o *outlet[T]) GiveHeld(sub int, event T, seq, ticket uint64) {
	s := o.recipient(sub, 1)
	if s == nil {
		return
	}
	o.copyWhole()
	o.emission.marks.held++
	if o.awaiting {
		o.leaves(seq)
	}
	if len(o.traces.waits) > 0 {
		o.traces.given(o.stage, seq, 1)
	}
	if s.tracked {
		s.flights.pushOne(seq, ticket, event)
	}
	b := o.batchFor(s)
	b.events = append(b.events, event)
}

// GiveHeldAll implements dispatcher.HeldGiver: it gives several held events, without
// tickets.
func (o *outlet[T]) GiveHeldAll(sub int, events []T, seqs []uint64) {
	s := o.recipient(sub, len(events))
	if s == nil || len(events) == 0 {
		return
	}
	o.copyWhole()
	o.emission.marks.held += int64(len(events))
	for i := 0; o.awaiting && i < len(seqs); i++ {
		o.leaves(seqs[i])
	}
	for i := 0; len(o.traces.waits) > 0 && i < len(seqs); i++ {
		o.traces.given(o.stage, seqs[i], 1)
	}
	b := o.batchFor(s)
	b.events = append(b.events, events...)
	if s.tracked {
		for i := range events {
			s.flights.push(seqs[i], 0, 1, events[i:i+1])
		}
	}
}

// copyWhole copies the emitter's slice instead of handing it over, since another
// subscription gets a part of it too.
func (o *outlet[T]) copyWhole() {
	if s := o.whole; s != nil {
		o.whole = nil
		b := o.batchFor(s)
		b.events = append(b.events, o.offer.Events...)
	}
}

// recipient returns the subscription in slot sub after charging n events to its demand. It
// returns nil, and the stage fails with ErrExcess, if the slot is empty or the dispatcher
// gives more than was asked for.
func (o *outlet[T]) recipient(sub, n int) *Subscription[T] {
	if sub < 0 || sub >= len(o.subs) || o.subs[sub] == nil || o.subs[sub].supply != supplyActive || o.subs[sub].asked < n {
		o.fail(ErrExcess)
		return nil
	}
	s := o.subs[sub]
	// The subscription may be delivered no more than it has asked for, whatever the
	// dispatcher does.
	s.asked -= n
	s.given += n
	o.deliveries += int64(n)
	return s
}

// rejection is a subscription that the dispatcher has rejected.
type rejection[T any] struct {
	sub    *Subscription[T]
	reason error
}

// Reject implements dispatcher.Rejecter. The subscription is cancelled after the Dispatch,
// by produce, since HandleCancel may emit.
func (o *outlet[T]) Reject(sub int, reason error) {
	if sub >= 0 && sub < len(o.subs) && o.subs[sub] != nil {
		o.rejects = append(o.rejects, rejection[T]{o.subs[sub], reason})
	}
}

// fail notes the first error of the dispatcher. produce stops the stage for it once the
// Dispatch has returned.
func (o *outlet[T]) fail(err error) {
	if o.fault == nil {
		o.fault = &Error{Stage: o.stage, Handler: "Dispatch", Err: err}
	}
}

// batchFor returns the batch that gathers what s is given, a used one if there is any. The
// first call for s since the last flush makes it touched.
func (o *outlet[T]) batchFor(s *Subscription[T]) *batch[T] {
	if s.out == nil {
		s.out = s.emptied()
		o.touched = append(o.touched, s)
	}
	return s.out
}

// emptied returns a batch without events, one that has come back if there is any.
func (s *Subscription[T]) emptied() *batch[T] {
	b := s.spare
	if b == nil {
		return new(batch[T])
	}
	s.spare, b.next = b.next, nil
	s.spareCount--
	return b
}

// flush sends what was handed out, one batch to a subscription. From then on the batch
// belongs to the consumer's goroutine, until it comes back with an ask.
func (o *outlet[T]) flush() {
	for i, s := range o.touched {
		b := s.out
		s.out = nil
		o.touched[i] = nil
		o.send(s, b)
	}
	o.touched = o.touched[:0]
}

// send passes a batch to the consumer's goroutine.
func (o *outlet[T]) send(s *Subscription[T], b *batch[T]) {
	b.tracked, b.costs, b.careful = s.tracked, o.costs, len(o.again) > 0
	// If the consumer is dead its farewell is on the way, and giveUp counts the events
	// that it has not handled, including these. A farewell that comes after the end of
	// this stage does not know of them: endAll counts them before.
	if !s.down.postEvents(s, b) {
		s.refused += len(b.events)
	}
}
