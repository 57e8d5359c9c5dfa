package delivery

import (
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/trace"
)

// flight is one event from its arrival to its receipt. It belongs to the stage's
// goroutine.
type flight[T any] struct {
	event    T
	topic    string
	payload  any
	account  *account[T]
	position uint64 // in its subscription, for the receipt

	seq     uint64        // order of arrival
	since   time.Duration // when it arrived, since the consumer's epoch
	line    *line[T]      // where it waits; nil while it is with sockets
	from    *line[T]      // where it waited before it was sent again
	lags    bool          // it counts towards MaxWaiting until its receipt
	sent    bool          // a report is to come
	over    bool          // it has its receipt
	attempt int           // that it was sent for, from 1
	trace   trace.Context // the span of its delivery, of a sampled event
	span    trace.Span    // of the attempt, until its report
	taken   bool          // a client had it, and closed before it was written
	unsure  bool          // a node that did not answer may have it, whatever the last attempt found
	listed  bool          // in the list of open flights

	// Of events that were sent together: those before and after it of which a report is to
	// come. If it is sent again, those after it wait for its report.
	ahead, behind *flight[T]
	together      bool

	prev, next *flight[T] // of the list

	done func(websocket.Report) // made once, since flights are used again
}

// flights is a doubly linked list of flights in their order of arrival. The links
// are in the flights, so that it allocates nothing.
type flights[T any] struct {
	first, last *flight[T]
	n           int
}

func (l *flights[T]) push(f *flight[T]) {
	f.prev, f.next, f.listed = l.last, nil, true
	if l.last == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
	l.n++
}

// remove takes a flight out. It does nothing for one that is not listed: an
// event whose payload failed never was.
func (l *flights[T]) remove(f *flight[T]) {
	if !f.listed {
		return
	}
	if f.prev == nil {
		l.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		l.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.prev, f.next, f.listed = nil, nil, false
	l.n--
}

// take returns an unused flight.
func (c *Consumer[T]) take() *flight[T] {
	if n := len(c.free); n > 0 {
		f := c.free[n-1]
		c.free = c.free[:n-1]
		return f
	}
	f := new(flight[T])
	// It may be called from any goroutine, also while Deliver runs.
	f.done = func(r websocket.Report) { c.inbox.report(f, r) }
	return f
}

// put returns a flight that is over and of which no report is to come.
func (c *Consumer[T]) put(f *flight[T]) {
	*f = flight[T]{done: f.done}
	// More than that is left to the garbage collector after a peak.
	if len(c.free) < 4096 {
		c.free = append(c.free, f)
	}
}
