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

// receipt takes one receipt. It changes r.Outcome to Requeued if the event is
// queued again, which tells the stage to report nothing upstream yet.
func (f *Dispatcher[T, K]) receipt(r *dispatcher.Receipt[T]) {
	// A ticket is the item's generation and its index, as hand makes it. The
	// generation refuses a second receipt for an item that is in use again.
	n := uint32(r.Ticket)
	if n == 0 || n > f.topItem {
		return
	}
	it := f.items.at(n)
	if it.state != itemInFlight || it.gen != uint32(r.Ticket>>32) || it.seq != r.Seq {
		return
	}
	i := it.key
	s := f.slots.at(i)
	if s.inflight == f.capacity && s.count > 0 {
		f.blocked--
	}
	s.inflight--
	f.inflight--
	// Without a cost the estimate stands. mean is a moving average over some 16
	// events.
	if f.measured && r.Cost > 0 {
		f.mean += (r.Cost - f.mean) / 16
		f.repay(s, it.estimate, r.Cost)
		if owner := f.group(s.group).owner; owner != 0 {
			f.repay(f.slots.at(owner), it.estimate, r.Cost)
		}
	}
	switch {
	case r.Outcome == receipt.Returned:
		r.Outcome = receipt.Requeued
		f.requeue(i, s, n, it, r.Event)
		return
	case r.Outcome == receipt.Failed && f.again(s, it):
		r.Outcome = receipt.Requeued
		f.requeue(i, s, n, it, r.Event)
		return
	// DeadLetter runs last, when the key is free, so a panic of it leaves the
	// queues consistent.
	case r.Outcome == receipt.Failed && f.cfg.DeadLetter != nil:
		defer f.cfg.DeadLetter(r.Event, int(it.tries)+1)
	}
	f.dropItem(n, it)
	if s.where == whereUnlisted {
		f.place(i, s)
	}
}

// again reports whether an event that has failed is handed out again, and begins the pause
// of its key. The slot is left unlisted then: requeue places it.
func (f *Dispatcher[T, K]) again(s *slot, it *item) bool {
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
