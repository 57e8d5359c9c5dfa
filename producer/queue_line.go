package producer

// line holds the pushes of one key that wait for room, first come first served. The queue's
// lock guards it.
type line[T any] struct {
	head, tail *place[T]
	len        int
}

// place is the place of one push in the line.
type place[T any] struct {
	event    T
	ticket   ticket[T]
	ready    chan struct{} // gets one token when the place is called
	waits    bool          // in the line
	refused  bool          // called because the queue was closed
	ahead    *place[T]
	followed *place[T]
}

// join puts a place at the end of the line.
func (l *line[T]) join(p *place[T]) {
	p.waits, p.ahead, p.followed = true, l.tail, nil
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.followed = p
	}
	l.tail = p
	l.len++
}

// leave takes a place out of the line, wherever it stands.
func (l *line[T]) leave(p *place[T]) {
	if p.ahead == nil {
		l.head = p.followed
	} else {
		p.ahead.followed = p.followed
	}
	if p.followed == nil {
		l.tail = p.ahead
	} else {
		p.followed.ahead = p.ahead
	}
	p.waits, p.ahead, p.followed = false, nil, nil
	l.len--
}

// next removes and returns the first place, of which there must be one. The push
// continues when the place gets its token.
func (l *line[T]) next() *place[T] {
	p := l.head
	l.leave(p)
	return p
}
