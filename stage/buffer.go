package stage

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
)

// buffer keeps events that no subscription has asked for, in the order of their sequence
// numbers. The numbers are mostly consecutive and so kept as runs, whose counts add up to
// the length of events. It belongs to the stage's goroutine. Its limit is enforced by
// outlet.store: events that come back may exceed it.
type buffer[T any] struct {
	limit  int
	keep   Keep
	left   int64 // how many events have been dropped from the front, less those put there
	events ring.Ring[T]
	runs   ring.Ring[run]
}

// run is a stretch of buffered events with consecutive sequence numbers.
type run struct {
	first uint64
	count int
}

// len is the number of buffered events.
func (b *buffer[T]) len() int { return b.events.Len() }

// push appends events with the sequence numbers from first on, which must be higher than
// those in the buffer.
func (b *buffer[T]) push(events []T, first uint64) {
	if len(events) == 0 {
		return
	}
	b.events.PushAll(events)
	if n := b.runs.Len(); n > 0 {
		if last := b.runs.At(n - 1); last.first+uint64(last.count) == first {
			last.count += len(events)
			return
		}
	}
	b.runs.Push(run{first, len(events)})
}

// putBack inserts the events that came back, which are in the order of their
// sequence numbers. Other events that came back earlier may be before them.
func (b *buffer[T]) putBack(receipts []dispatcher.Receipt[T]) {
	var before []dispatcher.Receipt[T] // what is in the buffer and was emitted earlier
	at := len(receipts) - 1
	for ; at >= 0 && receipts[at].Outcome != receipt.Returned; at-- {
	}
	for at >= 0 && b.runs.Len() > 0 && b.runs.At(0).first < receipts[at].Seq {
		events, seq := b.front()
		// These are few: events that came back earlier and wait at the front.
		before = append(before, dispatcher.Receipt[T]{Seq: seq, Event: events[0]})
		b.drop(1)
	}
	for ; at >= 0; at-- {
		r := &receipts[at]
		if r.Outcome != receipt.Returned {
			continue
		}
		for n := len(before) - 1; n >= 0 && before[n].Seq > r.Seq; n-- {
			b.pushFront(before[n].Event, before[n].Seq)
			before = before[:n]
		}
		b.pushFront(r.Event, r.Seq)
	}
	for n := len(before) - 1; n >= 0; n-- {
		b.pushFront(before[n].Event, before[n].Seq)
	}
}

// pushFront puts one event in front of all others, whatever its number.
func (b *buffer[T]) pushFront(event T, seq uint64) {
	b.events.PushFront(event)
	// left stays the number of the event at the front, in the order of the buffer, by
	// which pins wait.
	b.left--
	if b.runs.Len() > 0 {
		if head := b.runs.At(0); head.first == seq+1 {
			head.first, head.count = seq, head.count+1
			return
		}
	}
	b.runs.PushFront(run{seq, 1})
}

// front returns a run of events from the front, with consecutive sequence
// numbers from first, valid until the buffer is changed.
func (b *buffer[T]) front() (events []T, first uint64) {
	events = b.events.Front()
	head := b.runs.At(0)
	return events[:min(len(events), head.count)], head.first
}

// drop removes n events from the front, at most as many as front returned.
func (b *buffer[T]) drop(n int) {
	if n == 0 {
		return
	}
	b.events.Drop(n)
	b.left += int64(n)
	head := b.runs.At(0)
	head.first += uint64(n)
	if head.count -= n; head.count == 0 {
		b.runs.Drop(1)
	}
}
