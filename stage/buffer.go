package stage

import "github.com/penstock-go/penstock/internal/ring"

// buffer keeps events that nobody has asked for, with their sequence numbers,
// which are mostly consecutive and so kept as runs.
type buffer[T any] struct {
	limit  int
	keep   Keep
	left   int64 // how many events have been dropped from the front, less those put there
	events ring.Ring[T]
	runs   ring.Ring[run]
}

type run struct {
	first uint64
	count int
}

func (b *buffer[T]) len() int { return b.events.Len() }

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

func (b *buffer[T]) pushFront(event T, seq uint64) {
	b.events.PushFront(event)
	b.left--
	if b.runs.Len() > 0 {
		if head := b.runs.At(0); head.first == seq+1 {
			head.first, head.count = seq, head.count+1
			return
		}
	}
	b.runs.PushFront(run{seq, 1})
}

// front answers a run of events from the front, with consecutive sequence
// numbers from first, valid until the buffer is changed.
func (b *buffer[T]) front() (events []T, first uint64) {
	events = b.events.Front()
	head := b.runs.At(0)
	return events[:min(len(events), head.count)], head.first
}

// drop removes n events from the front, at most as many as front answered.
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
