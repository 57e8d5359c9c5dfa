package producer

import (
	"context"

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
		q.owed -= len(run)
		q.taken += int64(len(run))
		q.events.Drop(len(run))
		for q.line.len > 0 && q.hasRoom() {
			p := q.line.next()
			q.events.Push(p.event)
			q.pushed++
			p.ready <- struct{}{}
		}
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
	if q.closed {
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

// HandleDrain implements stage.DrainHandler: it closes the queue.
func (q *Queue[T]) HandleDrain(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.close()
	if q.events.Len() == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler: it closes the queue and
// discards the events left in it.
func (q *Queue[T]) HandleTerminate(context.Context, error) error {
	q.mu.Lock()
	q.close()
	q.discarded += int64(q.events.Len())
	left := q.events
	q.events = ring.Ring[T]{}
	q.mu.Unlock()
	for q.cfg.Discarded != nil && left.Len() > 0 {
		q.cfg.Discarded(left.Pop(), receipt.Stopped)
	}
	return nil
}
