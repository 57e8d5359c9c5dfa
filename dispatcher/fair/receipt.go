package fair

import (
	"math"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// Receipts implements [dispatcher.ReceiptTaker]: each receipt frees its key for
// the next event. A Returned event goes back to the head of its key, and so
// does a Failed one that may be tried again, after a pause; several of one key keep their
// order. Receipts for tickets that are not in flight are ignored.
func (f *Dispatcher[T, K]) Receipts(now int64, receipts []dispatcher.Receipt[T]) {
	f.advance(now)
	for i := range receipts {
		f.receipt(&receipts[i])
	}
}

// Done implements [dispatcher.DoneTaker]: Receipts for events that were handled, at less
// cost.
func (f *Dispatcher[T, K]) Done(now int64, done []dispatcher.Done) {
	f.advance(now)
	for i := range done {
		if n, it, s := f.land(done[i].Seq, done[i].Ticket); it != nil {
			f.over(n, it, s)
		}
	}
}

// land takes an event out of flight, and returns its item and the slot of its key. The item
// is nil if the ticket is of no event in flight.
func (f *Dispatcher[T, K]) land(seq, ticket uint64) (n uint32, it *cell[T], s *slot) {
	// A ticket is the item's generation and its index, as hand makes it. The
	// generation refuses a second receipt for an item that is in use again.
	n = uint32(ticket)
	if n == 0 || n > f.topItem {
		return 0, nil, nil
	}
	it = f.items.at(n)
	if it.state != itemInFlight || it.gen != uint32(ticket>>32) || it.seq != seq {
		return 0, nil, nil
	}
	s = f.slots.at(it.key)
	if s.inflight == f.capacity && s.count > 0 {
		f.blocked--
	}
	s.inflight--
	f.inflight--
	return n, it, s
}

// over ends an event that land has returned. Its key may be served again.
func (f *Dispatcher[T, K]) over(n uint32, it *cell[T], s *slot) {
	f.dropItem(n, it)
	if s.where == whereUnlisted {
		f.place(s.self, s)
	}
}

// receipt takes one receipt. It changes r.Outcome to Requeued if the event is
// queued again, which tells the stage to report nothing upstream yet.
func (f *Dispatcher[T, K]) receipt(r *dispatcher.Receipt[T]) {
	n, it, s := f.land(r.Seq, r.Ticket)
	if it == nil {
		return
	}
	// Without a cost the estimate stands. mean is a moving average over some 16
	// events.
	if f.measured && r.Cost > 0 {
		f.mean += (r.Cost - f.mean) / 16
		estimate := f.extras.at(n).estimate
		f.repay(s, estimate, r.Cost)
		if owner := f.group(s.group).owner; owner != 0 {
			f.repay(f.slots.at(owner), estimate, r.Cost)
		}
	}
	switch {
	case r.Outcome == receipt.Returned:
		r.Outcome = receipt.Requeued
		f.requeue(it.key, s, n, it, r.Event)
		return
	case r.Outcome == receipt.Failed && f.again(s, it):
		r.Outcome = receipt.Requeued
		f.requeue(it.key, s, n, it, r.Event)
		return
	// DeadLetter runs last, when the key is free, so a panic of it leaves the
	// queues consistent.
	case r.Outcome == receipt.Failed && f.cfg.DeadLetter != nil:
		defer f.cfg.DeadLetter(r.Event, int(it.tries)+1)
	}
	f.over(n, it, s)
}

// again reports whether an event that has failed is handed out again, and begins the pause
// of its key. The slot is left unlisted then: requeue places it.
func (f *Dispatcher[T, K]) again(s *slot, it *cell[T]) bool {
	pause, again, _ := f.cfg.Retry.Next(int(it.tries)+1, nil)
	if !again {
		return false
	}
	it.tries += min(1, maxTries-it.tries)
	if f.pauses {
		// With UnorderedInFlight the key may be ready, for other events of it.
		f.delist(s)
		times := f.timesOf(s)
		times.until = max(times.until, f.now+min(int64(pause), math.MaxInt64-f.now))
	}
	return true
}
