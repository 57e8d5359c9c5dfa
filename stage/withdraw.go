package stage

import (
	"context"

	"github.com/penstock-go/penstock/receipt"
)

// A source may ask events back that it has emitted, and gets a receipt for those that no
// handler has started. The request goes down the edges. Each outlet takes what it still has
// out of its buffer and its dispatcher; what it has delivered it marks on the subscription,
// by position, and posts a message. The consumer looks at the marks before it hands
// events to its handler, so that those in its mailbox are not started either.

// WithdrawHandler is a consumer or producer-consumer that keeps events which it has not
// started, such as a pool of workers.
type WithdrawHandler interface {
	// HandleWithdraw is called when the source has asked events back. For those that were
	// not started and for which [Subscription.Withdrawn] is true, the handler gives a
	// receipt with ErrWithdrawn: by [Subscription.Settle], or by [Emitter.Finish] from
	// this or a later handler. All others end as usual.
	HandleWithdraw(ctx context.Context) error
}

// Withdraw asks events back that the stage has emitted. Those that no handler has started
// get a receipt with the outcome Withdrawn: what the stage's buffer and dispatcher hold at
// once, and what waits at consumers as soon as they have returned from their handlers. All
// others end as usual, as do those of which several parts or copies are under way and
// those that a handler holds. It is for producers with HandleReceipts; for others it does
// nothing. It returns at once and may be called from any goroutine.
func (h *Handle) Withdraw(events ...Span) {
	if list := newSpans(events); len(list) > 0 {
		h.post(mailWithdraw, list)
	}
}

// withdraw takes the request of a source.
func (e *engine[In, Out]) withdraw(list spans) {
	if e.out == nil || !e.out.sourced {
		return
	}
	// What was emitted before the request gets its numbers first.
	e.out.serve()
	e.out.withdraw(list)
	e.again = true
}

// withdraw gives back what the outlet has of some events, and passes the request on for
// what it has delivered.
func (o *outlet[T]) withdraw(list spans) {
	left, taken := o.buf.left, int64(0)
	o.buf.withdraw(list.has, func(seq uint64, at int) {
		for i := range o.pins.Len() {
			// A pin counts the events of the buffer that are before it.
			if p := o.pins.At(i); int64(at) < p.at-left+taken {
				p.at--
			}
		}
		taken++
		o.gaveBack(seq)
	})
	if o.withdrawer != nil {
		o.withdrawer.Withdraw(list.has, o.gaveBack)
	}
	for _, s := range o.subs {
		if s != nil && s.tracked && s.supply.placed() {
			o.recall(s, list)
		}
	}
	o.changed = true
}

// gaveBack accounts for an event that was not delivered.
func (o *outlet[T]) gaveBack(seq uint64) {
	o.withdrawn++
	if o.awaiting {
		o.leaves(seq)
	}
	delete(o.again, seq)
	if len(o.traces.waits) > 0 {
		o.traces.end(o.stage, seq, receipt.Withdrawn, "")
	}
	o.ended(seq, 1, receipt.Withdrawn, "")
}

// recall marks deliveries of s that are asked back and have no receipt, and tells its
// consumer. Marks of earlier requests stay while there is no receipt. Events of which
// others have copies are left to their end.
func (o *outlet[T]) recall(s *Subscription[T], list spans) {
	var marked []Span
	before := s.withdrawn.Load()
	fresh := false
	s.flights.each(func(position, seq uint64) {
		switch {
		case before != nil && before.has(position):
		case !list.has(seq) || o.shared.has(seq):
			return
		default:
			fresh = true
		}
		marked = append(marked, Span{position, 1})
	})
	if !fresh {
		return
	}
	all := newSpans(marked)
	s.withdrawn.Store(&all)
	s.down.postWithdrawn(s)
}

// recalled takes the message of a producer that deliveries on s are asked back.
func (e *engine[In, Out]) recalled(s *Subscription[In]) {
	if s.intake == intakeOver || e.isOver() {
		return
	}
	if e.out != nil {
		e.sweepQueue(s)
		e.out.serve() // what the handler has said of its inputs is entered first
		if e.lineage != nil {
			e.out.withdraw(e.descendants())
		}
	}
	if f := e.do.Withdraw; f != nil {
		e.running = "HandleWithdraw"
		e.check(f(e.ctx))
		if e.out != nil {
			e.stirred()
		}
	}
	e.again = true
}

// descendants returns the events of the stage that no handler may start because their
// inputs are asked back. Of several events for the same inputs it returns none unless all
// of them are still here: otherwise the inputs end as usual.
func (e *engine[In, Out]) descendants() spans {
	whole, parts := e.lineage.children(nil, nil)
	if len(parts) > 0 && (e.out.holder == nil || e.out.withdrawer != nil) {
		var away []Span
		for _, s := range e.out.subs {
			if s != nil {
				s.flights.each(func(_, seq uint64) { away = append(away, Span{seq, 1}) })
			}
		}
		gone := newSpans(away)
		for _, p := range parts {
			if !gone.any(p.First, p.Count) {
				whole = append(whole, p)
			}
		}
	}
	return newSpans(whole)
}

// sweepQueue gives back what of a subscription waits in the queue of a producer-consumer.
func (e *engine[In, Out]) sweepQueue(s *Subscription[In]) {
	position := s.received
	for i := range e.in.queue.Len() {
		if a := e.in.queue.At(i); a.sub == s && a.batch != nil {
			n := a.batch.size()
			e.sweep(s, a.batch, 0, position)
			position += uint64(n)
		}
	}
}

// sweep takes the events of a batch out, from the i-th on, that are asked back, and gives
// their receipts. It asks for as many others in their place.
func (e *engine[In, Out]) sweep(s *Subscription[In], b *batch[In], i int, position uint64) {
	w := s.withdrawn.Load()
	if w == nil || b.holes != nil && w == b.holes.swept || e.isDry() && e.out != nil {
		return
	}
	if b.holes == nil {
		b.holes = new(holes)
	}
	b.holes.swept = w
	n := 0
	b.sweep(*w, i, position, func(position uint64) {
		n++
		if e.out != nil {
			s.inputs++
			s.finishInputs(position, 1, receipt.Withdrawn, "")
			return
		}
		s.skip(position, !s.deferred)
	})
	if n == 0 {
		return
	}
	e.in.withdrawn += int64(n)
	ask := n
	if !s.manual && !s.asks {
		if s.owed -= n; s.owed > s.minDemand {
			ask = 0
		} else {
			ask, s.owed = s.maxDemand-s.owed, s.maxDemand
		}
	}
	// The receipts of what was handled before come first: they count deliveries in order.
	s.up.postAsk(s, s.passOn(ask), s.handled, nil, s.takePending())
	s.handled = 0
}

// skip notes the receipt of an event that a consumer has not started.
func (s *Subscription[T]) skip(position uint64, ordered bool) {
	if s.pending == nil {
		s.pending = settledPool.Get().(*settled)
	}
	runs := s.pending.runs
	if last := len(runs) - 1; last >= 0 && runs[last].position+uint64(runs[last].n) == position {
		runs[last].n++
		return
	}
	s.pending.runs = append(runs, finishedRun{position: position, n: 1, outcome: receipt.Withdrawn, ordered: ordered})
}

// pass takes out of a batch, from the i-th event on, what is asked back, and steps over
// what was taken out before that event. It returns by how many positions.
func (e *engine[In, Out]) pass(s *Subscription[In], b *batch[In], i int, position uint64) uint64 {
	e.sweep(s, b, i, position)
	n := b.cross(i)
	if n > 0 {
		e.crossed(s, n)
	}
	return uint64(n)
}

// crossed notes that the next events have a gap before them, of events that were given
// back. The receipts of those before it are sent: a number of receipts in order names no
// events on both sides of a gap.
func (e *engine[In, Out]) crossed(s *Subscription[In], n int) {
	s.total += n
	if s.handled > 0 {
		s.up.postAsk(s, 0, s.handled, nil, nil)
		s.handled = 0
	}
}

func (e *engine[In, Out]) postWithdrawn(s *Subscription[In]) {
	e.box.Post(mail[In, Out]{kind: mailWithdrawn, up: s})
}
