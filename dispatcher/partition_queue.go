package dispatcher

import "github.com/penstock-go/penstock/internal/ring"

// heldQueue is a partition's events with their sequence numbers: two rings that
// are always changed alike, so that a run of the one is a run of the other.
type heldQueue[T any] struct {
	events ring.Ring[T]
	seqs   ring.Ring[uint64]
}

func (q *heldQueue[T]) Len() int { return q.events.Len() }

// push appends the events at the given places of offer.
func (q *heldQueue[T]) push(offer Offer[T], at []int32) {
	events, more := q.events.Extend(len(at))
	seqs, rest := q.seqs.Extend(len(at))
	for i := range events {
		events[i], seqs[i] = offer.Events[at[i]], offer.First+uint64(at[i])
	}
	at = at[len(events):]
	for i := range more {
		more[i], rest[i] = offer.Events[at[i]], offer.First+uint64(at[i])
	}
}

func (q *heldQueue[T]) pushFront(event T, seq uint64) {
	q.events.PushFront(event)
	q.seqs.PushFront(seq)
}

// front returns a run of at most n from the front, which is empty only if the
// queue is, and valid until the queue is changed.
func (q *heldQueue[T]) front(n int) (events []T, seqs []uint64) {
	events, seqs = q.events.Front(), q.seqs.Front()
	n = min(n, len(events))
	return events[:n], seqs[:n]
}

func (q *heldQueue[T]) drop(n int) {
	q.events.Drop(n)
	q.seqs.Drop(n)
}

// giveHeld hands held events out, one by one if out is no HeldGiver.
func giveHeld[T any](out Out[T], sub int, events []T, seqs []uint64) {
	if g, ok := out.(HeldGiver[T]); ok {
		g.GiveHeldAll(sub, events, seqs)
		return
	}
	for i, event := range events {
		out.GiveHeld(sub, event, seqs[i], 0)
	}
}
