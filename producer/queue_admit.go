package producer

import (
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// put appends, unlocks and wakes the stage if it waits for events.
func (q *Queue[T]) put(event T, t ticket[T]) {
	q.append(event, t)
	wanted := q.wanted()
	q.mu.Unlock()
	wake(wanted)
}

// append puts an accepted event into the queue.
func (q *Queue[T]) append(event T, t ticket[T]) {
	if q.unused == nil {
		q.expectStage()
	}
	q.events.Push(event)
	if q.gate.tracked {
		q.tickets.Push(t)
	}
	q.pushed++
	q.entered++
}

// admit lets in the waiting pushes for which there is room.
func (q *Queue[T]) admit() {
	for p := q.gate.next(); p != nil; p = q.gate.next() {
		q.append(p.event, p.ticket)
		p.ready <- struct{}{} // never blocks: the channel has room for the one token
	}
}

// wanted returns the stage if it waits for events that are there, and was not woken yet.
// The caller wakes it when it has released the lock.
func (q *Queue[T]) wanted() *stage.Handle {
	if q.owed == 0 || q.woken || q.self == nil || q.events.Len() == 0 {
		return nil
	}
	q.woken = true
	return q.self
}

// deny notes that a push was kept out. It returns the stage if that must be woken to learn
// that it is stalled: a full key it has seen with the event that filled it.
func (q *Queue[T]) deny(why bound) *stage.Handle {
	if why != heavy || q.gate.denied {
		return nil
	}
	q.gate.denied = true
	if q.owed == 0 || q.woken || q.self == nil {
		return nil
	}
	q.woken = true
	return q.self
}

func wake(self *stage.Handle) {
	if self != nil {
		self.Wake()
	}
}

// drop makes room for event, or discards it, and unlocks. Nothing waits in line: a queue
// that drops has no other bound.
func (q *Queue[T]) drop(event T) {
	q.discarded++
	victim := event
	// pushed counts the event in both cases, so that the counts of the Snapshot add up.
	if q.cfg.Overflow == DropOldest {
		victim = q.events.Pop()
		q.gate.taken(1)
		q.gate.accept(ticket[T]{account: q.gate.sole})
		q.put(event, ticket[T]{})
	} else {
		q.pushed++
		q.mu.Unlock()
	}
	q.refused.dropped(receipt.QueueFull, 1)
	if q.cfg.Discarded != nil {
		q.cfg.Discarded(victim, receipt.QueueFull)
	}
}

// close refuses pushes from now on, those in line included, and returns how many these
// were. The caller holds the lock. Closing again does nothing.
func (q *Queue[T]) close() (n int) {
	q.closed = true
	if q.unused != nil {
		q.unused.Stop()
	}
	q.gate.refuseAll(func(p *place[T]) {
		p.refused = true
		p.ready <- struct{}{}
		n++
	})
	q.refused.count[closed] += int64(n)
	return n
}
