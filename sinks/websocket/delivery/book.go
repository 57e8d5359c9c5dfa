package delivery

import (
	"container/list"
	"errors"
	"slices"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
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
	due     ring.Ring[*line[T]]
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
	case l == nil || (len(l.waiting) == 0 && l.out == nil && !l.gone && !l.due):
		return send, ""
	case l.gone && !l.due:
		l.since = now
		b.gone.MoveToBack(l.place)
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

// missed decides about an event that was sent and reached no client.
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

// changed notes that a delivery on the topic of l may succeed now.
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
func (b *book[T]) settle(l *line[T], now time.Duration) {
	switch {
	case len(l.waiting) > 0 || l.sending > 0 || l.due || l.gone && !l.served || b.lines[l.topic] != l:
	case l.late && !l.served:
		b.setGone(l, now)
	default:
		b.remove(l)
	}
}

// end takes an event out that gets its receipt, since it was written or for
// another reason.
func (b *book[T]) end(f *flight[T], written bool, now time.Duration) {
	if l := b.back(f); l != nil {
		l.served = l.served || written
		if len(l.waiting) > 0 {
			b.changed(l) // the next one
		}
		b.settle(l, now)
	}
	if l := f.line; l != nil {
		b.release(f)
		if l.cause == forRoom {
			b.settle(l, now)
		}
	}
	b.open.remove(f)
}

// expire calls drop for the events whose time is over. An event that is dropped
// must be ended.
func (b *book[T]) expire(now time.Duration, drop func(f *flight[T], reason receipt.Reason)) {
	for e := b.absent.Front(); e != nil && e.Value.(*line[T]).since+b.grace <= now; e = b.absent.Front() {
		l := e.Value.(*line[T])
		if l.sending > 0 {
			b.unlist(l)
			l.late = true
		} else {
			b.setGone(l, now)
		}
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
	goesOn := l.place != nil && !l.gone && !l.served && why != forRoom
	l.cause = why
	if goesOn {
		return
	}
	b.unlist(l)
	l.since, l.gone, l.late, l.served = now, false, false, false
	if why != forRoom {
		l.place = b.absent.PushBack(l)
	}
}

func (b *book[T]) setGone(l *line[T], now time.Duration) {
	b.unlist(l)
	l.since, l.gone, l.late, l.probe = now, true, false, false
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
