package delivery

import "time"

// cutOff notes that the other nodes cannot be asked from now on. Nothing is known of a
// topic without a client here then: no grace ends, and what was remembered of topics
// whose grace was over counts no more.
func (b *book[T]) cutOff(now time.Duration) {
	if b.outage {
		return
	}
	b.outage, b.outSince = true, now
	for e := b.gone.Front(); e != nil; e = b.gone.Front() {
		b.renew(e.Value.(*line[T]), now)
	}
	for _, l := range b.lines {
		if l.late {
			b.renew(l, now)
		}
	}
}

// renew forgets that the grace of a line is over: its next event has a grace of its own.
func (b *book[T]) renew(l *line[T], now time.Duration) {
	b.others.forget(l.topic)
	b.unlist(l)
	l.gone, l.late, l.probe, l.served = false, false, false, true
	b.settle(l, now)
}

// reached notes that the other nodes can be asked again. All lines that wait become
// due, and graces go on with what was left of them: the time of the outage does not
// count.
func (b *book[T]) reached(now time.Duration) {
	if !b.outage {
		return
	}
	b.outage = false
	for e := b.absent.Front(); e != nil; e = e.Next() {
		l := e.Value.(*line[T])
		l.since += now - max(l.since, b.outSince) // the order of the list stays
	}
	for _, l := range b.lines {
		if len(l.waiting) > 0 {
			b.changed(l)
		}
	}
}
