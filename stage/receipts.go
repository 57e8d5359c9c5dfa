package stage

import (
	"cmp"
	"slices"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// finishedRun is the end of n inputs of a subscription, from a position on, as a
// producer-consumer reports it. All of them have ended alike.
type finishedRun struct {
	position uint64
	n        int
	outcome  receipt.Outcome
	reason   receipt.Reason
	ordered  bool // the consumer gives all other receipts in order, by their number
}

// wantsReceipts reports whether every delivery is remembered until its receipt has come:
// the source or the dispatcher wants receipts, or inputs wait for them. Redeliver makes
// single subscriptions tracked besides.
func (o *outlet[T]) wantsReceipts() bool { return o.sourced || o.taker != nil || o.lineage != nil }

// track begins to remember the deliveries of s. Earlier ones are not accounted for,
// and their receipts are skipped.
func (o *outlet[T]) track(s *Subscription[T]) {
	if s.tracked {
		return
	}
	s.tracked = true
	s.flights.keeps = s.cfg.Redeliver || o.taker != nil || o.discarded != nil
	s.flights.scrub = o.emit.scrub
	s.flights.begin(uint64(s.given))
	o.tracking++
}

// handled takes the receipts for the next n events of s, in order. Those for events
// delivered before track are only counted.
func (o *outlet[T]) handled(s *Subscription[T], n int) {
	if !s.tracked {
		s.acked += n
		return
	}
	// Positions count all deliveries since the start, and all that are not open have their
	// receipt or were delivered before the account began.
	if before := int(s.flights.next) - s.flights.open - s.acked; before > 0 {
		// Receipts for deliveries before the account began.
		skip := min(n, before)
		s.acked += skip
		n -= skip
	}
	s.acked += n
	// Only deliveries that were withdrawn out of order can have overtaken these.
	for _, position := range s.flights.overtaken(n) {
		f, _ := s.flights.finish(position)
		o.receipt(s, &f, receipt.Done, "", 0)
		n--
	}
	o.land(s, n, receipt.Done, "")
	o.report()
}

// land takes receipts of one kind for the n oldest deliveries of s, all of which must be
// open. In the usual case a run costs as much as one event.
func (o *outlet[T]) land(s *Subscription[T], n int, outcome receipt.Outcome, reason receipt.Reason) {
	if o.brief(outcome, 0) {
		o.noteDone()
		o.done = s.flights.landAll(n, o.done)
		s.flights.trim()
		return
	}
	if !o.sourced && o.lineage == nil && o.plain(outcome) && s.flights.allOpen() {
		o.report()        // earlier notes come first
		s.flights.land(n) // nothing but the account is concerned
		return
	}
	for n > 0 {
		seq, ticket, k, events := s.flights.front(n)
		if o.plain(outcome) {
			o.report() // earlier notes come first
			// The dispatcher and the copies are not concerned: the run goes to the source
			// as it is.
			o.ended(seq, k, outcome, reason)
		} else {
			for i := range k {
				f := flight[T]{seq: seq + uint64(i), ticket: ticket}
				if events != nil {
					f.event = events[i]
				}
				o.receipt(s, &f, outcome, reason, 0)
			}
		}
		s.flights.land(k)
		n -= k
	}
	s.flights.trim() // not before: it would move what is still to land out of the queue
}

// plain reports whether receipts concern the source alone, so that those of a
// run of events need not be looked at one by one.
func (o *outlet[T]) plain(outcome receipt.Outcome) bool {
	return o.taker == nil && !o.shared.any() && len(o.again) == 0 && (outcome == receipt.Done || outcome == receipt.Failed)
}

// brief reports whether the dispatcher takes a receipt as a note without the event: nothing
// can come back for it, and no other copy of the event matters.
func (o *outlet[T]) brief(outcome receipt.Outcome, cost int64) bool {
	return o.doneTaker != nil && outcome == receipt.Done && cost == 0 && !o.shared.any() && len(o.again) == 0
}

// noteDone makes room for the notes of a next receipt: those before it come first.
func (o *outlet[T]) noteDone() {
	if len(o.scratch) > 0 {
		o.report()
	}
}

// settle takes receipts that came one by one and in any order.
func (o *outlet[T]) settle(s *Subscription[T], list []Finished) {
	for len(list) > 0 {
		if n := s.flights.inOrder(list, o.costs); n > 1 {
			o.land(s, n, receipt.Done, "")
			list = list[n:]
			continue
		}
		fin := list[0]
		list = list[1:]
		f, ok := s.flights.finish(fin.Position)
		if !ok {
			continue // settled before
		}
		outcome, reason := outcomeOf(fin.Err)
		o.receipt(s, &f, outcome, reason, int64(fin.Cost))
	}
	o.report()
}

// settleRuns takes receipts that came in runs. A run that begins at the oldest delivery
// lands as a whole; any other is finished one by one.
func (o *outlet[T]) settleRuns(s *Subscription[T], runs []finishedRun) {
	for _, r := range runs {
		if r.ordered {
			s.acked += r.n
		}
		if r.outcome != receipt.Abandoned && s.flights.areOpen(r.position, r.n) {
			o.land(s, r.n, r.outcome, r.reason)
			continue
		}
		for i := range r.n {
			f, ok := s.flights.finish(r.position + uint64(i))
			switch {
			case !ok:
			case r.outcome == receipt.Abandoned:
				o.abandon(s, &f, r.reason, min(1, s.redeliveries()))
			default:
				o.receipt(s, &f, r.outcome, r.reason, 0)
			}
		}
	}
	o.report()
}

// giveUp ends every delivery of s in flight when its consumer has ended. Those that the
// consumer may have failed over are marked as such for abandon.
func (o *outlet[T]) giveUp(s *Subscription[T], f farewell) {
	s.refused = 0 // they are among these
	if !s.tracked {
		o.abandonedNow(max(0, s.given-f.handled))
		return
	}
	for _, d := range s.flights.removeAll() {
		reason := waited
		if d.position >= f.from && d.position < f.to {
			reason = ""
		}
		o.abandon(s, &d, reason, s.redeliveries())
	}
	o.report()
}

// The reasons of abandoned events. They go up to the producer that delivers the event
// again or gives it up, and no further.
const (
	waited receipt.Reason = "waited" // no consumer has failed over it
	spent  receipt.Reason = "spent"  // consumers have, and it was delivered again as often as it may
)

// worse reports whether one end of a part of an event decides rather than another.
func worse(outcome receipt.Outcome, reason receipt.Reason, than receipt.Outcome, thanReason receipt.Reason) bool {
	return outcome.Worse(than) || outcome == receipt.Abandoned && than == outcome && reason != thanReason && (reason == spent || thanReason == waited)
}

// abandon ends a delivery whose consumer, or another one further down, has died.
// With Redeliver the event is delivered again: any number of times if it only
// waited for the consumer, and up to most times if the consumer died over it: Redeliveries
// for its own consumer, and once if one further down has died, since that one is not
// replaced: its own producer would have kept the event. One that a producer further down
// has given up is delivered no more by those above: each would double the deaths. A copy of
// an event that other subscribers have as well is not delivered again: some have handled it.
func (o *outlet[T]) abandon(s *Subscription[T], f *flight[T], reason receipt.Reason, most int) {
	over := reason != waited
	if !s.cfg.Redeliver || reason == spent || over && o.again[f.seq] >= most || o.shared.has(f.seq) {
		if over && o.again[f.seq] > 0 {
			reason = spent
		}
		o.abandonedNow(1)
		if over && s.cfg.Redeliver {
			o.reportAbandoned(f.event)
		}
		o.receipt(s, f, receipt.Abandoned, reason, 0)
		return
	}
	if over {
		if o.again == nil {
			o.again = make(map[uint64]int)
		}
		o.again[f.seq]++
	}
	o.receipt(s, f, receipt.Returned, "", 0)
}

// redeliveries returns how often an event is delivered again over which the consumer died.
func (s *Subscription[T]) redeliveries() int {
	switch s.cfg.Redeliveries {
	case 0:
		return 1
	case None:
		return 0
	}
	return s.cfg.Redeliveries
}

// bereave takes note that a subscriber was lost with which the pipeline ends. If the
// dispatcher would have given it a copy of each event, those that the others still
// get are abandoned: they were not handled everywhere, and their source has them
// again after the end. Without that the copies of the others would finish them.
func (o *outlet[T]) bereave(of *node) {
	if of.handled.Load() {
		return // a stage between has ended after the program had handled the failure
	}
	if o.bereft == nil {
		o.bereft = make(map[*node]bool)
	}
	o.bereft[of] = true
	if c, ok := o.disp.(dispatcher.Copier); ok {
		o.shared.missed = c.Copies()
	}
}

// consoled takes note that the pipeline goes on after the failure of a subscriber. Its copies
// are missed no more, and the stage itself has not failed with it.
func (o *outlet[T]) consoled(of *node) {
	if delete(o.bereft, of); len(o.bereft) == 0 {
		o.shared.missed = false
	}
}

// receipt notes the end of a delivery; report passes it on. The event itself is kept only
// if a later step may need it.
func (o *outlet[T]) receipt(s *Subscription[T], f *flight[T], outcome receipt.Outcome, reason receipt.Reason, cost int64) {
	if o.brief(outcome, cost) {
		o.noteDone()
		o.done = append(o.done, dispatcher.Done{Seq: f.seq, Ticket: f.ticket})
		return
	}
	o.reportDone()
	r := dispatcher.Receipt[T]{Sub: s.slot, Seq: f.seq, Ticket: f.ticket, Outcome: outcome, Reason: reason, Cost: cost}
	if outcome != receipt.Done || o.shared.any() {
		r.Event = f.event
	}
	o.scratch = append(o.scratch, r)
}

// report passes the collected receipts to the dispatcher, then to the source.
// Events that came back, and that the dispatcher did not take, are buffered in
// front.
func (o *outlet[T]) report() {
	o.reportDone()
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
		// The dispatcher has taken the event back and will give it again itself.
		case receipt.Requeued:
			o.delivered--
			o.comesBack(r.Seq)
		case receipt.Returned:
			o.delivered--
			o.comesBack(r.Seq)
			back = true
		default:
			o.endedOne(r)
		}
	}
	// After the loop: takeBack sorts the receipts, which the source must get in their
	// order.
	if back {
		o.takeBack()
	}
	clear(o.scratch)
	o.scratch = o.scratch[:0]
}

// reportDone is report for the receipts of which only a note was made.
func (o *outlet[T]) reportDone() {
	if len(o.done) == 0 {
		return
	}
	// A panic of the dispatcher must not have it called with them again.
	done := o.done
	o.done = done[:0]
	o.doneTaker.Done(o.now(), done)
	o.changed = true
	for i := 0; i < len(done); {
		first, n := done[i].Seq, 1
		for i++; i < len(done) && done[i].Seq == first+uint64(n); i++ {
			n++
		}
		o.ended(first, n, receipt.Done, "")
	}
}

// endedOne accounts for an event that is finished for one of its subscribers.
func (o *outlet[T]) endedOne(r *dispatcher.Receipt[T]) {
	outcome, reason := r.Outcome, r.Reason
	if o.shared.any() {
		last := false
		if outcome, reason, last = o.shared.finish(r.Seq, outcome, reason); !last {
			return
		}
	}
	if len(o.again) > 0 {
		delete(o.again, r.Seq)
	}
	if outcome == receipt.Withdrawn {
		o.delivered--
		o.withdrawn++
	}
	if outcome == receipt.Discarded {
		o.delivered--
		o.lost[reason]++
		o.losses.fresh = true
		o.reportDiscard(r.Event, reason)
	}
	o.ended(r.Seq, 1, outcome, reason)
}

// ended reports the end of n events from a sequence number on to the source, and to
// the inputs that they were emitted for.
func (o *outlet[T]) ended(seq uint64, n int, outcome receipt.Outcome, reason receipt.Reason) {
	if o.lineage != nil {
		if o.silent {
			outcome, reason = receipt.Abandoned, ""
		}
		o.lineage.ended(seq, n, outcome, reason)
	}
	if !o.sourced || o.silent {
		return
	}
	if outcome == receipt.Abandoned {
		reason = "" // the source need not know more
	}
	text := ""
	if outcome == receipt.Failed {
		text, reason = string(reason), ""
	}
	if last := len(o.receipts) - 1; last >= 0 && o.receipts[last].extends(seq, outcome, reason, text) {
		o.receipts[last].Count += n
		return
	}
	o.receipts = append(o.receipts, Receipt{First: seq, Count: n, Outcome: outcome, Reason: reason, Error: text})
}

// takeBack puts returned events before all that wait, in the order in which they
// were emitted.
func (o *outlet[T]) takeBack() {
	slices.SortStableFunc(o.scratch, func(a, b dispatcher.Receipt[T]) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := len(o.scratch) - 1; i >= 0; i-- {
		if r := &o.scratch[i]; r.Outcome == receipt.Returned && o.returner != nil {
			o.returner.PutBack(r.Event, r.Seq)
		}
	}
	if o.returner == nil {
		o.buf.putBack(o.scratch)
	}
	o.changed = true
}

// mayReturn reports whether an event that was delivered could come back.
func (o *outlet[T]) mayReturn() bool {
	for _, s := range o.subs {
		if s != nil && s.flights.open > 0 && (o.taker != nil || s.cfg.Redeliver) {
			return true
		}
	}
	return false
}
