package producer

import "math"

// bound names what keeps a push out of a queue.
type bound uint8

const (
	open     bound = iota
	full           // Capacity
	keyFull        // KeyMaxEvents
	heavy          // MaxBytes
	tooLarge       // MaxBytes, whatever else there is
	closed         // the queue accepts nothing more
	bounds
)

// String returns the value of the tag reason.
func (b bound) String() string {
	return [bounds]string{"", "full", "key_full", "bytes_full", "too_large", "closed"}[b]
}

// gate decides which push may enter a queue, and which of the waiting pushes is next.
// It has no lock, goroutine or clock: the queue holds its lock during every call.
//
// Pushes wait in one line a key. The keys whose first push waits for nothing but the
// bounds in total are in the rotation and take turns, so that a key has one push a
// round, however many wait. A key that is full itself is not in the rotation.
//
// Between two calls of the queue's methods there is room in total for no push at the
// head of the rotation: the queue calls next until it returns nil.
type gate[T any] struct {
	capacity int   // events in the queue
	keyMax   int   // unfinished events of a key
	maxBytes int64 // of unfinished events
	tracked  bool  // finish is called for each event

	waiting    int // events in the queue
	unfinished int // accepted, and finish was not called
	bytes      int64
	blocked    int  // pushes in lines
	fullKeys   int  // with keyMax unfinished events
	denied     bool // a push was kept out for maxBytes since the last finish

	sole     *account[T]            // of all events, if there are no keys
	keys     map[string]*account[T] // with an unfinished event or a waiting push
	peak     int                    // the most keys since the map was made
	spare    []*account[T]
	rotation *account[T] // the key whose turn it is; the others follow in a circle
}

// newGate returns a gate; keyMax and maxBytes of 0 are no bound.
func newGate[T any](capacity int, keyed bool, keyMax int, maxBytes int64) gate[T] {
	g := gate[T]{capacity: capacity, keyMax: math.MaxInt, maxBytes: math.MaxInt64, tracked: keyed || maxBytes > 0}
	if maxBytes > 0 {
		g.maxBytes = maxBytes
	}
	if keyed {
		g.keyMax, g.keys = keyMax, make(map[string]*account[T])
	} else {
		g.sole = new(account[T])
	}
	return g
}

// check returns what keeps a push with that key and size out. A push that waits in
// the rotation goes first.
func (g *gate[T]) check(key string, size int64) bound {
	a := g.sole
	if a == nil {
		a = g.keys[key] // nil: nothing is unfinished
	}
	switch {
	case size > g.maxBytes:
		return tooLarge
	// Before the bounds in total: the caller is told of its own flood first.
	case a != nil && a.unfinished >= g.keyMax:
		return keyFull
	case g.waiting >= g.capacity:
		return full
	// What is in the rotation while the queue is not full waits for bytes. A difference
	// cannot overflow, as a sum of sizes could.
	case g.rotation != nil, size > g.maxBytes-g.bytes:
		return heavy
	}
	return open
}

// enter accepts an event for which check has returned open.
func (g *gate[T]) enter(key string, size int64) ticket[T] {
	t := ticket[T]{account: g.account(key), size: size}
	g.accept(t)
	return t
}

// accept counts an event that comes into the queue. An untracked gate has no bound of
// unfinished events, and is spared their count.
func (g *gate[T]) accept(t ticket[T]) {
	g.waiting++
	if !g.tracked {
		return
	}
	g.unfinished++
	g.bytes += t.size
	if t.account.unfinished++; t.account.unfinished == g.keyMax {
		g.fullKeys++
	}
}

// join puts a push that has to wait at the end of its key's line.
func (g *gate[T]) join(p *place[T], key string, size int64) {
	p.ticket = ticket[T]{account: g.account(key), size: size}
	p.ticket.account.line.join(p)
	g.blocked++
	g.list(p.ticket.account)
}

// leave takes a push that no longer waits out of its line. The next one may be let in
// now.
func (g *gate[T]) leave(p *place[T]) {
	a := p.ticket.account
	a.line.leave(p)
	g.blocked--
	if a.line.len == 0 {
		g.unlist(a)
		g.forget(a)
	}
}

// next accepts the waiting push whose turn it is and returns it, or nil if there is no
// room for it.
func (g *gate[T]) next() *place[T] {
	a := g.rotation
	if a == nil || g.waiting >= g.capacity || a.line.head.ticket.size > g.maxBytes-g.bytes {
		return nil
	}
	p := a.line.next()
	g.blocked--
	g.unlist(a)
	g.accept(p.ticket) // before list: the key may be full now
	g.list(a)          // at the end of the round
	return p
}

// taken notes that n events have left the queue.
func (g *gate[T]) taken(n int) { g.waiting -= n }

// finish is the end of an accepted event that has left the queue. The caller lets waiting
// pushes in afterwards.
func (g *gate[T]) finish(t ticket[T]) {
	a := t.account
	g.denied = false
	g.unfinished--
	g.bytes -= t.size
	if a.unfinished == g.keyMax {
		g.fullKeys--
	}
	a.unfinished--
	g.list(a) // it may have been full
	g.forget(a)
}

// refuseAll takes all waiting pushes out of their lines, and calls f with each of them. It
// goes through the keys once, however many push.
func (g *gate[T]) refuseAll(f func(*place[T])) {
	if g.sole != nil {
		g.refuseLine(g.sole, f)
		return
	}
	// forget may replace g.keys: the loop goes on in the former map, whose accounts
	// without a line are passed over.
	for _, a := range g.keys {
		g.refuseLine(a, f)
	}
}

func (g *gate[T]) refuseLine(a *account[T], f func(*place[T])) {
	for a.line.len > 0 {
		p := a.line.head
		g.leave(p)
		f(p)
	}
}
