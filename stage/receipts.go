package stage

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// tracks says whether deliveries are remembered until their receipt came.
func (o *outlet[T]) tracks() bool { return o.sourced || o.taker != nil }

// handled takes the receipts for the next n events of s, in order.
func (o *outlet[T]) handled(s *Subscription[T], n int) {
	for range n {
		f := s.flights.next()
		o.receipt(s, &f, receipt.Done, "", 0)
	}
	o.report()
}

// settle takes receipts that came in any order.
func (o *outlet[T]) settle(s *Subscription[T], list []Finished) {
	for _, fin := range list {
		f, ok := s.flights.finish(fin.Position)
		if !ok {
			continue // settled before
		}
		outcome, reason := outcomeOf(fin.Err)
		o.receipt(s, &f, outcome, reason, int64(fin.Cost))
	}
	o.report()
}

// giveUp ends everything that s has in flight when its consumer, which has
// handled total events, is gone.
func (o *outlet[T]) giveUp(s *Subscription[T], total int) {
	if !s.tracked {
		o.abandoned += int64(max(0, s.given-total))
		return
	}
	for _, f := range s.flights.removeAll() {
		// A copy of what others have got too is not theirs to get once more.
		if s.cfg.Redeliver && !o.shared.has(f.seq) {
			o.receipt(s, &f, receipt.Returned, "", 0)
		} else {
			o.abandoned++
			o.receipt(s, &f, receipt.Abandoned, "", 0)
		}
	}
	o.report()
}

// receipt notes the end of a delivery; report passes it on.
func (o *outlet[T]) receipt(s *Subscription[T], f *flight[T], outcome receipt.Outcome, reason receipt.Reason, cost int64) {
	r := dispatcher.Receipt[T]{Sub: s.slot, Seq: f.seq, Ticket: f.ticket, Outcome: outcome, Reason: reason, Cost: cost}
	if outcome != receipt.Done || o.shared.any() {
		r.Event = f.event
	}
	o.scratch = append(o.scratch, r)
}

// report passes the collected receipts to the dispatcher, then to the source;
// what came back and was not taken by the dispatcher is buffered, in front.
func (o *outlet[T]) report() {
	if len(o.scratch) == 0 {
		return
	}
	if o.taker != nil {
		o.taker.Receipts(o.now(), o.scratch)
		o.changed = true
	}
	back := false
	for i := range o.scratch {
		switch r := &o.scratch[i]; r.Outcome {
		case receipt.Requeued:
			o.delivered--
		case receipt.Returned:
			o.delivered--
			back = true
		default:
			o.ended(r)
		}
	}
	if back {
		o.takeBack()
	}
	clear(o.scratch)
	o.scratch = o.scratch[:0]
}

// ended accounts for an event that nobody has to handle any more.
func (o *outlet[T]) ended(r *dispatcher.Receipt[T]) {
	outcome, reason, last := o.shared.finish(r.Seq, r.Outcome, r.Reason)
	if !last {
		return
	}
	if outcome == receipt.Discarded {
		o.delivered--
		o.lost[reason]++
		if o.discarded != nil {
			o.discarded(r.Event, reason)
		}
	}
	if o.sourced && !o.silent {
		o.receipts = append(o.receipts, Receipt{Seq: r.Seq, Outcome: outcome, Reason: reason})
	}
}

// takeBack puts returned events before all that waits, in their order.
func (o *outlet[T]) takeBack() {
	for i := len(o.scratch) - 1; i >= 0; i-- {
		switch r := &o.scratch[i]; {
		case r.Outcome != receipt.Returned:
		case o.returner != nil:
			o.returner.PutBack(r.Event, r.Seq)
		default:
			o.buf.pushFront(r.Event, r.Seq)
		}
	}
	o.changed = true
}

// mayReturn says whether an event that was delivered could come back.
func (o *outlet[T]) mayReturn() bool {
	for _, s := range o.subs {
		if s != nil && s.flights.open > 0 && (o.taker != nil || s.cfg.Redeliver) {
			return true
		}
	}
	return false
}
