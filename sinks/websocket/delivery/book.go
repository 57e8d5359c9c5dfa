package delivery

import (
	"container/list"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
)

// verdict is what happens to an event next. For discard the reason comes with it.
type verdict uint8

const (
	// the endpoint gets it now
	send verdict = iota
	wait
	discard
)

// book decides which events wait and for how long. It is a state machine without
// a clock or a goroutine, and without a lock but that of others: the time is an argument,
// counted from any fixed moment, which is the same for all books that share others.
type book[T any] struct {
	grace    time.Duration // 0: nothing waits for a client
	crowded  func(T) bool  // nil: no grace is shortened
	looked   time.Duration // when crowded was last asked
	timeout  time.Duration // 0: no bound
	maxGone  int           // lines whose grace is over
	drains   bool          // draining follows, at patience
	patience time.Duration
	draining bool // what would wait is discarded

	others *absences // of the consumers of the same hub; nil: there are none

	outage   bool          // other nodes cannot be asked: no grace ends
	outSince time.Duration // when that began

	seq uint64 // of the newest event
	// Every event is in open, and those that wait are in the waiting of a line
	// too. A topic has a line from its first miss until settle finds nothing
	// left to do or to remember.
	open    flights[T] // events without a receipt
	lines   map[string]*line[T]
	absent  list.List // lines that wait for a client, by the end of their grace
	gone    list.List // lines whose grace is over, by their last event
	due     ring.Ring[*line[T]]
	removed []*line[T]  // lines that are no more, for their watches to be stopped
	counts  [causes]int // events that wait
}

// arrive decides about an event that is new.
// It is sent at once unless earlier events of its topic wait: it must not
// overtake them.
func (b *book[T]) arrive(f *flight[T], now time.Duration) (verdict, receipt.Reason) {
	b.seq++
	f.seq, f.since = b.seq, now
	b.open.push(f)
	l := b.lines[f.topic]
	switch {
	case l == nil || (len(l.waiting) == 0 && l.out == nil && !l.gone && !l.due):
		return send, ""
	case l.gone && !l.due:
		l.since = now
		b.gone.MoveToBack(l.place)
		b.others.note(l.topic, now, b.grace)
		if !l.probe {
			return discard, l.cause.reason()
		}
		l.probe = false
		f.from = l
		l.sending++
		return send, ""
	}
	b.hold(l, f)
	return wait, ""
}

// missed decides about an event that was sent and reached no client. It joins the
// line of its topic, at its place in the order of arrival, or is discarded.
func (b *book[T]) missed(f *flight[T], why cause, now time.Duration) (verdict, receipt.Reason) {
	if b.draining || (why != forRoom && b.grace == 0) {
		return discard, why.reason()
	}
	l := b.lines[f.topic]
	b.back(f)
	switch {
	case l == nil:
		l = &line[T]{topic: f.topic}
		if b.lines == nil {
			b.lines = make(map[string]*line[T])
		}
		b.lines[f.topic] = l
		if why != forRoom && !b.outage && b.others.over(l.topic, now, b.grace) {
			l.cause = why
			b.setGone(l, now)
			b.changed(l) // as below
			return discard, why.reason()
		}
		b.setCause(l, why, now)
	case (l.late || l.gone) && !l.served && why != forRoom:
		b.settle(l, now)
		return discard, why.reason()
	case l.cause != why || l.gone || l.late || l.served:
		b.setCause(l, why, now)
	}
	b.hold(l, f)
	if !l.tried {
		b.changed(l) // a client can have come before there was a watch
	}
	return wait, ""
}

// changed notes that a delivery on the topic of l may succeed now. The caller must
// work off the due lines afterwards. It does nothing for a line that was removed.
func (b *book[T]) changed(l *line[T]) {
	if !l.due && b.lines[l.topic] == l {
		l.due = true
		b.due.Push(l)
	}
}

// takeDue returns a line whose events are to be sent again, or nil.
func (b *book[T]) takeDue() *line[T] {
	for b.due.Len() > 0 {
		l := b.due.Pop()
		l.due = false
		if b.lines[l.topic] == l {
			return l
		}
	}
	return nil
}

// revive decides about a line that is due after its grace: if a client is here
// the topic is no longer remembered as being without one. Otherwise its next
// event finds out.
func (b *book[T]) revive(l *line[T], here bool) {
	switch {
	case !l.gone:
	case here:
		b.others.forget(l.topic)
		b.unlist(l)
		l.gone, l.served = false, true
	default:
		l.probe = true
	}
}

// next takes the first event out of a line, to be sent; nil if there is none, or
// if another one is out.
func (b *book[T]) next(l *line[T]) *flight[T] {
	if len(l.waiting) == 0 || l.out != nil {
		return nil
	}
	f := l.waiting[0]
	b.release(f)
	f.from = l
	l.sending++
	return f
}

// await has the events of a line wait until f, which was sent again, is reported,
// so that none passes it if it comes back.
func (b *book[T]) await(f *flight[T]) { f.from.out = f }

// awaitFirst is await for an event that is with sockets for the first time, together with
// the first one of the line. A client can have come since it was sent.
func (b *book[T]) awaitFirst(l *line[T], f *flight[T]) {
	if l.out != nil || f.from != nil || f.over {
		return // the first one waits already, or has its receipt and does not come back
	}
	f.from, l.out, l.tried = l, f, false
	l.sending++
}

// back notes the report of an event that was sent again. It returns its line, and
// nil for another event.
func (b *book[T]) back(f *flight[T]) *line[T] {
	l := f.from
	if l == nil {
		return nil
	}
	l.sending--
	f.from = nil
	if l.out == f {
		l.out = nil
	}
	return l
}

// settle removes a line that has no events any more, unless its topic is to be
// remembered as being without a client.
// An event that was sent again still belongs to the line: its report decides.
func (b *book[T]) settle(l *line[T], now time.Duration) {
	switch {
	case len(l.waiting) > 0 || l.sending > 0 || l.due || l.gone && !l.served || b.lines[l.topic] != l:
	case l.late && !l.served:
		b.setGone(l, now)
	default:
		b.remove(l)
	}
}

// end takes an event out of the book that gets its receipt: it was written, is
// discarded or has failed. The line of an event that was sent again becomes due,
// since the next event of the line can be sent.
func (b *book[T]) end(f *flight[T], written bool, now time.Duration) {
	if written {
		b.others.forget(f.topic)
	}
	if l := b.back(f); l != nil {
		l.served = l.served || written
		if len(l.waiting) > 0 {
			b.changed(l) // the next one
		}
		b.settle(l, now)
	}
	if l := f.line; l != nil {
		b.release(f)
		// Lines that wait for a client end by their grace instead, which must
		// go on for the events to come.
		if l.cause == forRoom {
			b.settle(l, now)
		}
	}
	b.open.remove(f)
}
