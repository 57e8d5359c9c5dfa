package stage

import "github.com/penstock-go/penstock/dispatcher"

// tracks says whether deliveries are remembered until their receipt came.
func (o *outlet[T]) tracks() bool { return o.sourced || o.taker != nil }

// handled takes the receipts for the next n events of s, in order.
func (o *outlet[T]) handled(s *Subscription[T], n int) {
	for range n {
		f := s.flight.At(0)
		o.receipt(s, f, dispatcher.Done, "", 0)
		s.flight.Drop(1)
		s.base++
	}
	o.report()
}

// settle takes receipts that came in any order.
func (o *outlet[T]) settle(s *Subscription[T], list []Finished) {
	for _, fin := range list {
		at := fin.Position - s.base
		if at >= uint64(s.flight.Len()) || s.flight.At(int(at)).finished {
			continue // settled before
		}
		f := s.flight.At(int(at))
		f.finished = true
		outcome, reason := outcomeOf(fin.Err)
		o.receipt(s, f, outcome, reason, int64(fin.Cost))
		if outcome != dispatcher.Failed {
			var none T
			f.event = none
		}
	}
	for s.flight.Len() > 0 && s.flight.At(0).finished {
		s.flight.Drop(1)
		s.base++
	}
	o.report()
}

// giveBack ends everything that s has in flight when its consumer is gone.
func (o *outlet[T]) giveBack(s *Subscription[T]) {
	outcome := dispatcher.Abandoned
	if s.cfg.Redeliver {
		outcome = dispatcher.Returned
	}
	for i := range s.flight.Len() {
		if f := s.flight.At(i); !f.finished {
			o.receipt(s, f, outcome, "", 0)
		}
	}
	s.flight.Drop(s.flight.Len())
	o.report()
}

func (o *outlet[T]) receipt(s *Subscription[T], f *flight[T], outcome dispatcher.Outcome, reason dispatcher.Reason, cost int64) {
	r := dispatcher.Receipt[T]{Sub: s.slot, Seq: f.seq, Ticket: f.ticket, Outcome: outcome, Reason: reason, Cost: cost}
	if outcome == dispatcher.Failed || outcome == dispatcher.Returned {
		r.Event = f.event
	}
	if outcome == dispatcher.Discarded {
		o.lost[reason]++
		o.delivered--
		if o.discarded != nil {
			o.discarded(f.event, reason)
		}
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
	for i := len(o.scratch) - 1; i >= 0; i-- {
		r := &o.scratch[i]
		switch r.Outcome {
		case dispatcher.Requeued:
			o.delivered--
		case dispatcher.Returned:
			o.delivered--
			o.buf.pushFront(r.Event, r.Seq)
		}
	}
	if o.sourced {
		for i := range o.scratch {
			r := &o.scratch[i]
			if r.Outcome != dispatcher.Returned && r.Outcome != dispatcher.Requeued {
				o.receipts = append(o.receipts, Receipt{Seq: r.Seq, Outcome: r.Outcome, Reason: r.Reason})
			}
		}
	}
	clear(o.scratch)
	o.scratch = o.scratch[:0]
}

// mayReturn says whether an event that was delivered could come back.
func (o *outlet[T]) mayReturn() bool {
	for _, s := range o.subs {
		if s != nil && s.flight.Len() > 0 && (o.taker != nil || s.cfg.Redeliver) {
			return true
		}
	}
	return false
}
