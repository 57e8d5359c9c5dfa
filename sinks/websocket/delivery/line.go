package delivery

import (
	"container/list"
	"errors"
	"slices"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/receipt"
)

// cause is why events wait.
type cause uint8

const (
	forClient cause = iota // no client has joined the topic
	forAnswer              // no client of this node has, and another node did not answer
	forRoom                // the queue of each client is full

	causes cause = 3
)

// causeOf returns why an event must wait after the report err.
func causeOf(err error) cause {
	switch {
	case errors.Is(err, pubsub.ErrFull):
		return forRoom
	case errors.Is(err, pubsub.ErrNoAnswer):
		return forAnswer
	}
	return forClient
}

// reason returns the reason of the discard if an event has waited in vain.
func (c cause) reason() receipt.Reason {
	return [...]receipt.Reason{NoSubscriber, NoAnswer, ClientFull}[c]
}

// line is the queue of one topic's events that wait. It belongs to the stage's
// goroutine, except for noted.
//
// While it waits for a client it is in book.absent. When its grace ends it moves
// to book.gone, where it remembers that the topic has no client: events are then
// discarded at once. A line that waits for room is in neither list, since only a
// Timeout bounds that wait.
type line[T any] struct {
	topic   string
	cause   cause
	waiting []*flight[T]
	sending int           // events that were sent again and are not written yet
	out     *flight[T]    // one of them that the others wait for
	since   time.Duration // without a client: when none was found; gone: the last event
	gone    bool          // the grace is over: events are discarded until a client comes
	probe   bool          // gone: the next event is sent, since a client may have come elsewhere
	late    bool          // the grace is over, and events that were sent again are not written
	served  bool          // an event was written: the next wait for a client has its own grace
	tried   bool          // its events were sent again since the watch exists
	due     bool          // it is in book.due
	place   *list.Element // in book.absent or book.gone; nil in neither

	watch *pubsub.Watch // of the Consumer
	noted bool          // guarded by inbox.mu: it is in inbox.changed
}

// unwatch ends the watch of a line that was removed. No callback comes after
// it, except one that is running.
func (l *line[T]) unwatch() {
	if l.watch != nil {
		l.watch.Stop()
	}
}

// hold puts an event into a line, before those that arrived later. The search
// begins at the end, where nearly all events belong.
func (b *book[T]) hold(l *line[T], f *flight[T]) {
	i := len(l.waiting)
	for i > 0 && l.waiting[i-1].seq > f.seq {
		i--
	}
	l.waiting = slices.Insert(l.waiting, i, f)
	f.line = l
	f.lag()
	b.counts[l.cause]++
}

// release takes an event out of its line, in which it must be waiting.
func (b *book[T]) release(f *flight[T]) {
	l := f.line
	i := slices.Index(l.waiting, f)
	l.waiting = slices.Delete(l.waiting, i, i+1)
	f.line = nil
	b.counts[l.cause]--
}

// dropAll drops what waits in a line. drop must call end, which releases the
// event.
func (b *book[T]) dropAll(l *line[T], reason receipt.Reason, drop func(f *flight[T], reason receipt.Reason)) {
	for len(l.waiting) > 0 {
		drop(l.waiting[0], reason)
	}
}

// setCause begins a wait, or goes on with one for a client: a grace that has begun
// is not extended by further misses.
func (b *book[T]) setCause(l *line[T], why cause, now time.Duration) {
	b.counts[l.cause] -= len(l.waiting)
	b.counts[why] += len(l.waiting)
	goesOn := l.place != nil && !l.gone && !l.served && why != forRoom
	l.cause = why
	if goesOn {
		return
	}
	if l.gone { // a client is here, or was since
		b.others.forget(l.topic)
	}
	b.unlist(l)
	l.since, l.gone, l.late, l.served = now, false, false, false
	if why != forRoom {
		l.place = b.absent.PushBack(l)
	}
}

// setGone ends the grace of a line. now counts as its last event.
func (b *book[T]) setGone(l *line[T], now time.Duration) {
	b.unlist(l)
	l.since, l.gone, l.late, l.probe = now, true, false, false
	l.place = b.gone.PushBack(l)
	b.others.note(l.topic, now, b.grace)
}

// unlist takes a line out of absent and gone.
func (b *book[T]) unlist(l *line[T]) {
	if l.place != nil { // Remove does nothing in the list where it is not
		b.absent.Remove(l.place)
		b.gone.Remove(l.place)
		l.place = nil
	}
}

// remove forgets a line. The consumer stops its watch later, since the watch is
// not the book's.
func (b *book[T]) remove(l *line[T]) {
	if b.lines[l.topic] != l {
		return
	}
	if l.gone {
		b.others.expire(l.topic, l.since)
	}
	b.unlist(l)
	delete(b.lines, l.topic)
	b.removed = append(b.removed, l)
}
