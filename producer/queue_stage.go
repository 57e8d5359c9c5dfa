package producer

import (
	"cmp"
	"context"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// take moves up to owed events to the stage and the waiting pushes into the queue.
// The caller holds the lock.
func (q *Queue[T]) take(emit *stage.Emitter[T]) error {
	for q.owed > 0 && q.events.Len() > 0 {
		run := q.events.Front()
		run = run[:min(len(run), q.owed)]
		emit.EmitAll(run)
		if q.gate.tracked {
			// The stage numbers events from 0, in the order in which they are emitted, and
			// its receipts name them by these numbers.
			for i := range run {
				q.emitted[uint64(q.taken)+uint64(i)] = q.tickets.Pop()
			}
		}
		q.owed -= len(run)
		q.taken += int64(len(run))
		q.events.Drop(len(run))
		q.gate.taken(len(run))
		q.admit() // what waits for Capacity may serve the rest of the demand
	}
	if q.closed && q.events.Len() == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleStart implements stage.StartHandler.
func (q *Queue[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.self = self
	if q.closed { // before the start: HandleWake ends the stage once the rest is emitted
		self.Wake()
	}
	return nil
}

// HandleDemand implements stage.Producer.
func (q *Queue[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.owed += n
	return q.take(emit)
}

// HandleWake implements stage.WakeHandler.
func (q *Queue[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.woken = false
	return q.take(emit)
}

// HandleReceiptsWanted implements stage.ReceiptsWantedHandler: a queue wants receipts
// only if it has a bound of unfinished events. A handler that embeds the queue may have a
// HandleReceipts of its own, and gets them in any case.
func (q *Queue[T]) HandleReceiptsWanted(handler any) bool {
	return q.gate.tracked || handler != any(q)
}

// HandleStalled implements stage.StalledHandler: pushes wait or were refused for events
// that are unfinished.
func (q *Queue[T]) HandleStalled() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gate.fullKeys > 0 || q.gate.denied || q.gate.rotation != nil
}

// HandleReceipts implements stage.ReceiptsHandler: the events are finished, whatever
// their outcome, and pushes that wait for that are let in.
func (q *Queue[T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	q.mu.Lock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			if t, ok := q.emitted[seq]; ok {
				delete(q.emitted, seq)
				q.gate.finish(t)
			}
		}
	}
	q.admit()
	wanted := q.wanted()
	q.mu.Unlock()
	wake(wanted)
	return nil
}

// HandleDrain implements stage.DrainHandler: it closes the queue.
func (q *Queue[T]) HandleDrain(context.Context) error {
	q.mu.Lock()
	n := q.close()
	empty := q.events.Len() == 0
	q.mu.Unlock()
	q.refused.record(closed, n)
	if empty {
		return stage.ErrDone
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler: it closes the queue and
// discards the events left in it. A Discarded that panics is called for the others all the
// same, and the first panic is returned.
func (q *Queue[T]) HandleTerminate(context.Context, error) (err error) {
	q.mu.Lock()
	refused := q.close()
	left := q.events
	q.discarded += int64(left.Len())
	// No receipt comes any more: nothing is unfinished.
	for q.tickets.Len() > 0 {
		q.gate.finish(q.tickets.Pop())
	}
	for _, t := range q.emitted {
		q.gate.finish(t)
	}
	q.gate.taken(left.Len())
	q.emitted = nil
	q.events, q.tickets = ring.Ring[T]{}, ring.Ring[ticket[T]]{}
	q.mu.Unlock()
	q.refused.record(closed, refused)
	q.refused.dropped(receipt.Stopped, left.Len())
	q.refused.end()
	for q.cfg.Discarded != nil && left.Len() > 0 {
		err = cmp.Or(err, q.report(left.Pop()))
	}
	return err
}

// report passes an event that the stage has left to Discarded and returns a panic as an
// error.
func (q *Queue[T]) report(event T) (err error) {
	defer crash.Catch(&err)
	q.cfg.Discarded(event, receipt.Stopped)
	return nil
}
