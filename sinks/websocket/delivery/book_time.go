package delivery

import (
	"container/list"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// expire calls drop for the events whose time is over. drop must call end: the
// loops rely on it. Both lists are in the order of their deadlines, so that only
// their heads are looked at.
func (b *book[T]) expire(now time.Duration, drop func(f *flight[T], reason receipt.Reason)) {
	for e := b.absent.Front(); e != nil && !b.outage && e.Value.(*line[T]).since+b.grace <= now; e = b.absent.Front() {
		b.endGrace(e.Value.(*line[T]), now, drop)
	}
	b.relieve(now, drop)
	for e := b.gone.Front(); e != nil && (e.Value.(*line[T]).since+b.grace <= now || b.gone.Len() > b.maxGone); e = b.gone.Front() {
		b.remove(e.Value.(*line[T]))
	}
	if b.drains && !b.draining && b.patience <= now {
		b.drain(drop)
	}
	for b.timeout > 0 && b.open.first != nil && b.open.first.since+b.timeout <= now {
		drop(b.open.first, receipt.Expired)
	}
}

// endGrace drops what waits in a line of absent, as at the end of its grace.
func (b *book[T]) endGrace(l *line[T], now time.Duration, drop func(f *flight[T], reason receipt.Reason)) {
	// The report that is to come decides whether the topic has a client.
	if l.sending > 0 {
		b.unlist(l)
		l.late = true
	} else {
		b.setGone(l, now)
	}
	b.dropAll(l, l.cause.reason(), drop)
}

// crowdedEvery is how often crowded is asked, since that looks at each line of absent.
const crowdedEvery = 10 * time.Millisecond

// relieve ends the grace of lines that hold up the source, the longest waiting first.
func (b *book[T]) relieve(now time.Duration, drop func(f *flight[T], reason receipt.Reason)) {
	if b.crowded == nil || b.outage || b.absent.Len() == 0 || now < b.looked+crowdedEvery {
		return
	}
	b.looked = now
	var next *list.Element
	for e := b.absent.Front(); e != nil; e = next {
		next = e.Next() // endGrace takes e out
		l := e.Value.(*line[T])
		if len(l.waiting) > 0 && (l.waiting[0].account.crowded() || b.crowded(l.waiting[0].event)) {
			b.endGrace(l, now, drop)
		}
	}
}

// deadline is when expire has something to do; ok is false if there is no such
// time.
func (b *book[T]) deadline() (at time.Duration, ok bool) {
	at = 1<<63 - 1
	for _, l := range [...]*list.List{&b.absent, &b.gone} {
		if l == &b.absent && b.outage {
			continue
		}
		if e := l.Front(); e != nil {
			at, ok = min(at, e.Value.(*line[T]).since+b.grace), true
		}
	}
	if b.timeout > 0 && b.open.first != nil {
		at, ok = min(at, b.open.first.since+b.timeout), true
	}
	if b.crowded != nil && !b.outage && b.absent.Len() > 0 {
		at, ok = min(at, b.looked+crowdedEvery), true
	}
	if b.drains && !b.draining {
		at, ok = min(at, b.patience), true
	}
	return at, ok
}

// drainAt makes expire drain the book from a time on.
func (b *book[T]) drainAt(at time.Duration) { b.drains, b.patience = true, at }

// drain calls drop for all events that wait. From now on no event waits: one that
// is missed is discarded.
func (b *book[T]) drain(drop func(f *flight[T], reason receipt.Reason)) {
	b.draining = true
	for _, l := range b.lines {
		b.dropAll(l, l.cause.reason(), drop)
		b.remove(l)
	}
}

// lag counts the events of a that have been with sockets since before then as
// lagging, which lets a ask for others.
func (b *book[T]) lag(a *account[T], then time.Duration) {
	for f := b.open.first; f != nil && f.since <= then; f = f.next {
		if f.account == a {
			f.lag()
		}
	}
}

// lag counts an event towards MaxWaiting until its receipt, at most once.
func (f *flight[T]) lag() {
	if !f.lags {
		f.lags = true
		f.account.lagging++
	}
}
