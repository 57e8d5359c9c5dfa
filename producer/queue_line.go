package producer

// line holds the pushes of one key that wait for room, first come first served: a list,
// since a push whose context ends leaves from the middle. The queue's lock guards it.
type line[T any] struct {
	head, tail *place[T]
	len        int
}

// place is the place of one push in a line. The queue pools places: a push that waits
// allocates nothing.
type place[T any] struct {
	event  T
	ticket ticket[T]
	// ready gets one token when the place is called; its push takes it, so that the
	// channel is empty when another push gets the place.
	ready   chan struct{}
	waits   bool // in the line
	refused bool // called because the queue was closed
	ahead   *place[T]
	behind  *place[T]
}

// join puts a place at the end of the line.
func (l *line[T]) join(p *place[T]) {
	p.waits, p.ahead, p.behind = true, l.tail, nil
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.behind = p
	}
	l.tail = p
	l.len++
}

// leave takes a place out of the line, wherever it stands.
func (l *line[T]) leave(p *place[T]) {
	if p.ahead == nil {
		l.head = p.behind
	} else {
		p.ahead.behind = p.behind
	}
	if p.behind == nil {
		l.tail = p.ahead
	} else {
		p.behind.ahead = p.ahead
	}
	p.waits, p.ahead, p.behind = false, nil, nil
	l.len--
}

// next removes and returns the first place, of which there must be one. The push
// continues when the place gets its token.
func (l *line[T]) next() *place[T] {
	p := l.head
	l.leave(p)
	return p
}
