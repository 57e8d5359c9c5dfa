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

// account is what is known of a key.
type account[T any] struct {
	key        string
	unfinished int
	line       line[T]
	listed     bool // in the rotation
	before     *account[T]
	after      *account[T]
}

// ticket is an accepted event until it is finished.
type ticket[T any] struct {
	account *account[T]
	size    int64
}

const (
	spareAccounts = 64   // kept for other keys
	smallMap      = 1024 // keys; a larger map is made anew when most of them are gone
)

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
	case a != nil && a.unfinished >= g.keyMax:
		return keyFull
	case g.waiting >= g.capacity:
		return full
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
	g.accept(p.ticket)
	g.list(a) // at the end of the round
	return p
}

// taken notes that n events have left the queue.
func (g *gate[T]) taken(n int) { g.waiting -= n }

// finish is the end of an accepted event that has left the queue.
func (g *gate[T]) finish(t ticket[T]) {
	a := t.account
	g.denied = false
	g.unfinished--
	g.bytes -= t.size
	if a.unfinished == g.keyMax {
		g.fullKeys--
	}
	a.unfinished--
	g.list(a)
	g.forget(a)
}

// refuse takes a push out of its line, of all that wait, or returns nil.
func (g *gate[T]) refuse() *place[T] {
	if g.sole != nil {
		return g.refuseFrom(g.sole)
	}
	for _, a := range g.keys {
		if p := g.refuseFrom(a); p != nil {
			return p
		}
	}
	return nil
}

func (g *gate[T]) refuseFrom(a *account[T]) *place[T] {
	p := a.line.head
	if p != nil {
		g.leave(p)
	}
	return p
}

// account returns the account of a key, which is made if there is none.
func (g *gate[T]) account(key string) *account[T] {
	if g.sole != nil {
		return g.sole
	}
	a := g.keys[key]
	if a != nil {
		return a
	}
	if last := len(g.spare) - 1; last >= 0 {
		a, g.spare = g.spare[last], g.spare[:last]
	} else {
		a = new(account[T])
	}
	a.key = key
	g.keys[key] = a
	g.peak = max(g.peak, len(g.keys))
	return a
}

// forget removes a key of which nothing is left. A map does not shrink, so a large one
// is replaced when most of its keys are gone.
func (g *gate[T]) forget(a *account[T]) {
	if a == g.sole || a.unfinished > 0 || a.line.len > 0 {
		return
	}
	delete(g.keys, a.key)
	a.key = ""
	if len(g.spare) < spareAccounts {
		g.spare = append(g.spare, a)
	}
	if g.peak > smallMap && len(g.keys) < g.peak/8 {
		keys := make(map[string]*account[T], len(g.keys))
		for key, a := range g.keys {
			keys[key] = a
		}
		g.keys, g.peak = keys, len(keys)
	}
}

// list puts a key at the end of the rotation if its first push waits for nothing but
// the bounds in total, and it is not in there.
func (g *gate[T]) list(a *account[T]) {
	if a.listed || a.line.len == 0 || a.unfinished >= g.keyMax {
		return
	}
	a.listed = true
	if g.rotation == nil {
		a.before, a.after = a, a
		g.rotation = a
		return
	}
	a.before, a.after = g.rotation.before, g.rotation
	a.before.after, a.after.before = a, a
}

// unlist takes a key out of the rotation. If it was its turn, the next one has it.
func (g *gate[T]) unlist(a *account[T]) {
	if !a.listed {
		return
	}
	if g.rotation == a {
		g.rotation = a.after
	}
	if g.rotation == a {
		g.rotation = nil
	}
	a.before.after, a.after.before = a.after, a.before
	a.listed, a.before, a.after = false, nil, nil
}
