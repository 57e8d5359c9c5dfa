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

// causeOf returns why an event must wait that was reported with err.
func causeOf(err error) cause {
	switch {
	case errors.Is(err, pubsub.ErrFull):
		return forRoom
	case errors.Is(err, pubsub.ErrNoAnswer):
		return forAnswer
	}
	return forClient
}

// reason returns the reason for which an event is discarded that waited.
func (c cause) reason() receipt.Reason {
	return [...]receipt.Reason{NoSubscriber, NoAnswer, ClientFull}[c]
}

// line is the events of one topic that wait, in their order of arrival.
type line[T any] struct {
	topic   string
	cause   cause
	waiting []*flight[T]
	since   time.Duration // without a client: when none was found; gone: the last event
	gone    bool          // the grace is over: events are discarded until a client comes
	tried   bool          // its events were sent again since the watch exists
	out     bool          // its first event was sent again, and a node has still to answer
	due     bool          // it is in book.due
	place   *list.Element // in book.absent or book.gone; nil in neither

	watch *pubsub.Watch // of the Consumer
	noted bool          // guarded by inbox.mu: it is in inbox.changed
}

func (l *line[T]) unwatch() {
	if l.watch != nil {
		l.watch.Stop()
	}
}

// verdict is what happens to an event next.
type verdict uint8

const (
	send verdict = iota
	wait
	discard
)

// book decides which events wait and for how long. It is a state machine without
// a lock, a clock or a goroutine: the time is an argument, counted from any
// fixed moment.
type book[T any] struct {
	grace    time.Duration // 0: nothing waits for a client
	timeout  time.Duration // 0: no bound
	maxGone  int           // lines whose grace is over
	draining bool          // what would wait is discarded

	seq     uint64
	open    flights[T] // events without a receipt
	lines   map[string]*line[T]
	absent  list.List // lines that wait for a client, by the end of their grace
	gone    list.List // lines whose grace is over, by their last event
	due     []*line[T]
	removed []*line[T]  // lines that are no more, for their watches to be stopped
	counts  [causes]int // events that wait
}

// arrive decides about an event that is new.
func (b *book[T]) arrive(f *flight[T], now time.Duration) (verdict, receipt.Reason) {
	b.seq++
	f.seq, f.since = b.seq, now
	b.open.push(f)
	l := b.lines[f.topic]
	switch {
	case l == nil:
		return send, ""
	case l.gone && !l.due:
		l.since = now
		b.gone.MoveToBack(l.place)
		return discard, NoSubscriber
	}
	b.hold(l, f)
	return wait, ""
}

// missed decides about an event that was sent and reached no client.
func (b *book[T]) missed(f *flight[T], why cause, now time.Duration) (verdict, receipt.Reason) {
	if b.draining || (why != forRoom && b.grace == 0) {
		return discard, why.reason()
	}
	l := b.lines[f.topic]
	if b.back(f) && l.gone {
		return discard, why.reason() // the grace ended while it was out
	}
	if l == nil {
		l = &line[T]{topic: f.topic}
		if b.lines == nil {
			b.lines = make(map[string]*line[T])
		}
		b.lines[f.topic] = l
		b.setCause(l, why, now)
	} else if l.cause != why || l.gone {
		b.setCause(l, why, now)
	}
	b.hold(l, f)
	if !l.tried {
		b.changed(l) // a client can have come before there was a watch
	}
	return wait, ""
}

// changed notes that a delivery on the topic of l may succeed now.
func (b *book[T]) changed(l *line[T]) {
	if !l.due && b.lines[l.topic] == l {
		l.due = true
		b.due = append(b.due, l)
	}
}

// takeDue returns a line whose events are to be sent again, or nil.
func (b *book[T]) takeDue() *line[T] {
	for len(b.due) > 0 {
		l := b.due[0]
		b.due = slices.Delete(b.due, 0, 1)
		l.due = false
		if b.lines[l.topic] == l {
			return l
		}
	}
	return nil
}

// next takes the first event out of a line, to be sent; nil if there is none, or
// if another one is out.
func (b *book[T]) next(l *line[T]) *flight[T] {
	if len(l.waiting) == 0 || l.out {
		return nil
	}
	f := l.waiting[0]
	b.release(f)
	return f
}

// await notes that an event of l was sent again and that its report takes longer,
// since it is that of another node. The events after it wait, so that none passes
// it if it comes back.
func (b *book[T]) await(l *line[T], f *flight[T]) {
	l.out, f.from = true, l
}

// back ends await. It reports whether f was out and its line is still there.
func (b *book[T]) back(f *flight[T]) bool {
	l := f.from
	if l == nil {
		return false
	}
	f.from, l.out = nil, false
	return b.lines[f.topic] == l
}

// settle removes a line in which nothing waits any more.
func (b *book[T]) settle(l *line[T]) {
	if len(l.waiting) == 0 && !l.due && !l.out {
		b.remove(l)
	}
}

// end takes an event out that gets its receipt.
func (b *book[T]) end(f *flight[T]) {
	if l := f.line; l != nil {
		b.release(f)
		if l.cause == forRoom {
			b.settle(l)
		}
	}
	if l := f.from; b.back(f) {
		b.changed(l) // the next one
	}
	b.open.remove(f)
}

// expire calls drop for the events whose time is over. An event that is dropped
// must be ended.
func (b *book[T]) expire(now time.Duration, drop func(f *flight[T], reason receipt.Reason)) {
	for e := b.absent.Front(); e != nil && e.Value.(*line[T]).since+b.grace <= now; e = b.absent.Front() {
		l := e.Value.(*line[T])
		b.setGone(l, now)
		b.dropAll(l, l.cause.reason(), drop)
	}
	for e := b.gone.Front(); e != nil && (e.Value.(*line[T]).since+b.grace <= now || b.gone.Len() > b.maxGone); e = b.gone.Front() {
		b.remove(e.Value.(*line[T]))
	}
	for b.timeout > 0 && b.open.first != nil && b.open.first.since+b.timeout <= now {
		drop(b.open.first, receipt.Expired)
	}
}

// deadline is when expire has something to do; ok is false if there is no such
// time.
func (b *book[T]) deadline() (at time.Duration, ok bool) {
	at = 1<<63 - 1
	for _, l := range []*list.List{&b.absent, &b.gone} {
		if e := l.Front(); e != nil {
			at, ok = min(at, e.Value.(*line[T]).since+b.grace), true
		}
	}
	if b.timeout > 0 && b.open.first != nil {
		at, ok = min(at, b.open.first.since+b.timeout), true
	}
	return at, ok
}

// drain calls drop for all events that wait; from now on none does.
func (b *book[T]) drain(drop func(f *flight[T], reason receipt.Reason)) {
	b.draining = true
	for _, l := range b.lines {
		b.dropAll(l, l.cause.reason(), drop)
		b.remove(l)
	}
}

// lag counts the events of a that sockets have had since before then as waiting.
func (b *book[T]) lag(a *account[T], then time.Duration) {
	for f := b.open.first; f != nil && f.since <= then; f = f.next {
		if f.account == a {
			f.lag()
		}
	}
}

func (f *flight[T]) lag() {
	if !f.lags {
		f.lags = true
		f.account.lagging++
	}
}

// hold puts an event into a line, before those that arrived later.
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

// release takes an event out of its line.
func (b *book[T]) release(f *flight[T]) {
	l := f.line
	i := slices.Index(l.waiting, f)
	l.waiting = slices.Delete(l.waiting, i, i+1)
	f.line = nil
	b.counts[l.cause]--
}

func (b *book[T]) dropAll(l *line[T], reason receipt.Reason, drop func(f *flight[T], reason receipt.Reason)) {
	for len(l.waiting) > 0 {
		drop(l.waiting[0], reason)
	}
}

// setCause begins a wait, or goes on with one for a client.
func (b *book[T]) setCause(l *line[T], why cause, now time.Duration) {
	b.counts[l.cause] -= len(l.waiting)
	b.counts[why] += len(l.waiting)
	goesOn := l.place != nil && !l.gone && why != forRoom
	l.cause = why
	if goesOn {
		return
	}
	b.unlist(l)
	l.since, l.gone = now, false
	if why != forRoom {
		l.place = b.absent.PushBack(l)
	}
}

func (b *book[T]) setGone(l *line[T], now time.Duration) {
	b.unlist(l)
	l.since, l.gone = now, true
	l.place = b.gone.PushBack(l)
}

func (b *book[T]) unlist(l *line[T]) {
	if l.place != nil { // Remove does nothing in the list where it is not
		b.absent.Remove(l.place)
		b.gone.Remove(l.place)
		l.place = nil
	}
}

func (b *book[T]) remove(l *line[T]) {
	if b.lines[l.topic] != l {
		return
	}
	b.unlist(l)
	delete(b.lines, l.topic)
	b.removed = append(b.removed, l)
}
