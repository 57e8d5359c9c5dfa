package deadletter

import (
	"github.com/penstock-go/penstock/internal/ring"
)

// entry is a letter that waits, with what follows when it is stored.
type entry struct {
	letter Letter
	done   func()
}

// line is the letters of a Writer in the order in which they were sent, and what became of
// each. It is a pure state machine: at every step
//
//	sent = stored + left + waiting
type line struct {
	queue ring.Ring[entry] // sent, and not with the sink
	batch []entry          // with the sink, in front of queue
	ended bool             // nothing is taken any more

	sent   int64
	stored int64
	left   int64 // were not stored when the line ended, or came later
}

// send adds an entry, and reports whether it may still be stored.
func (l *line) send(e entry) bool {
	l.sent++
	if l.ended {
		l.left++
		return false
	}
	l.queue.Push(e)
	return true
}

// waiting returns the number of letters whose end is open.
func (l *line) waiting() int { return len(l.batch) + l.queue.Len() }

// take moves up to most letters into the batch, which must be empty, and returns it.
func (l *line) take(most int) []entry {
	for range min(most, l.queue.Len()) {
		l.batch = append(l.batch, l.queue.Pop())
	}
	return l.batch
}

// store notes that the batch was stored, and empties it. The caller has copied it before.
func (l *line) store() {
	l.stored += int64(len(l.batch))
	clear(l.batch)
	l.batch = l.batch[:0]
}

// end drops what waits, and returns how much that was.
func (l *line) end() int {
	n := l.waiting()
	l.ended = true
	l.left += int64(n)
	l.queue.Drop(l.queue.Len())
	clear(l.batch)
	l.batch = nil
	return n
}
