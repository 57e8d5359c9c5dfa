package pipeline

import (
	"time"

	"github.com/penstock-go/penstock/internal/ring"
)

// gatherer puts events into open batches, one for each key, and decides when a batch is
// full or has waited long enough. It is a pure state machine: time is passed to it, as a
// duration since any fixed moment, and it has no lock.
//
// P is the place that the owner keeps for each event, such as its receipt.
//
// Batches wait equally long, so that the order in which they were begun is the order of
// their deadlines: a list is enough, and each operation takes constant time whatever the
// number of keys.
type gatherer[T, P any] struct {
	rule batchRule[T]
	// lone is the open batch without a key; open has those with one.
	lone           *gathered[T, P]
	open           map[string]*gathered[T, P]
	oldest, newest *gathered[T, P]            // in the order in which they were begun
	count          int                        // open batches
	events         int                        // in open batches
	begun          uint64                     // batches since the start
	urgent         uint64                     // the last of them when nothing more could come
	hint           int                        // events of the last full batch without a key: the next one needs as much room
	full           ring.Ring[*gathered[T, P]] // closed, and not taken yet
}

// newGatherer returns a gatherer without an open batch.
func newGatherer[T, P any](r batchRule[T]) *gatherer[T, P] {
	g := &gatherer[T, P]{rule: r}
	if r.key != nil {
		g.open = make(map[string]*gathered[T, P])
	}
	return g
}

// batchRule says what makes a batch full.
type batchRule[T any] struct {
	size    int
	bytes   int                   // 0 without a bound
	sizeOf  func(event T) int     // set if bytes is
	cut     func(events []T) bool // nil without a rule of the program
	key     func(event T) string  // nil for one batch at a time
	maxKeys int                   // open batches
	timeout time.Duration         // NoTimeout waits for as long as it takes
}

// gathered is a batch that is gathered, or was.
type gathered[T, P any] struct {
	key      string
	number   uint64  // from 1 on, in the order in which they were begun
	trigger  Trigger // why it was passed on
	events   []T     // their receiver owns them
	places   []P     // of the events
	bytes    int
	deadline time.Duration

	before, after *gathered[T, P] // while it is open
}

// plan is where an event goes, until add puts it there.
type plan[T, P any] struct {
	key     string
	bytes   int
	batch   *gathered[T, P] // the open one of the key, or nil
	crowded bool            // the event does not fit into it, and begins the next
	events  []T             // of the batch, with the event
	cut     bool
}

// plan decides where an event goes. It is the part that calls functions of the program,
// which may panic, and it changes nothing. add must follow before anything else.
func (g *gatherer[T, P]) plan(event T) (p plan[T, P]) {
	if g.rule.key != nil {
		p.key = g.rule.key(event)
	}
	if g.rule.bytes > 0 {
		p.bytes = max(0, g.rule.sizeOf(event))
	}
	p.batch = g.find(p.key)
	p.crowded = p.batch != nil && g.rule.bytes > 0 && p.bytes > g.rule.bytes-p.batch.bytes
	var before []T
	if p.batch == nil || p.crowded {
		before = make([]T, 0, g.room())
	} else {
		before = p.batch.events
	}
	p.events = append(before, event)
	p.cut = g.rule.cut != nil && g.rule.cut(p.events)
	return p
}

// add puts an event into the batch of its key. Batches that are complete with it or
// without it are then in full.
func (g *gatherer[T, P]) add(now time.Duration, p plan[T, P], place P) {
	b := p.batch
	if p.crowded {
		g.pass(b, TriggerBytes)
	}
	if b == nil || p.crowded {
		b = g.begin(p.key, now)
	}
	b.events, b.places, b.bytes = p.events, append(b.places, place), b.bytes+p.bytes
	g.events++
	switch {
	case p.cut:
		g.pass(b, TriggerCut)
	case len(b.events) >= g.rule.size:
		g.pass(b, TriggerSize)
	case g.rule.bytes > 0 && b.bytes >= g.rule.bytes:
		g.pass(b, TriggerBytes)
	case g.count > g.rule.maxKeys:
		g.pass(g.oldest, TriggerKeys)
	}
}

// room is the capacity of a new batch: that of the last one if there are no keys, since
// one batch at a time takes no memory worth mentioning, and otherwise little, since the
// number of events of a key is not known.
func (g *gatherer[T, P]) room() int {
	if g.rule.key != nil {
		return 1
	}
	return max(g.hint, 1)
}

// find returns the open batch of a key, or nil.
func (g *gatherer[T, P]) find(key string) *gathered[T, P] {
	if g.rule.key == nil {
		return g.lone
	}
	return g.open[key]
}

// begin opens a batch, which becomes the newest one.
func (g *gatherer[T, P]) begin(key string, now time.Duration) *gathered[T, P] {
	g.begun++
	b := &gathered[T, P]{key: key, number: g.begun, deadline: NoTimeout, before: g.newest}
	if g.rule.timeout < NoTimeout-now {
		b.deadline = now + g.rule.timeout
	}
	if g.rule.key == nil {
		g.lone = b
		b.places = make([]P, 0, g.room())
	} else {
		g.open[key] = b
	}
	if g.newest != nil {
		g.newest.after = b
	} else {
		g.oldest = b
	}
	g.newest = b
	g.count++
	return b
}

// pass closes an open batch and puts it into full.
func (g *gatherer[T, P]) pass(b *gathered[T, P], why Trigger) {
	if g.rule.key == nil {
		g.lone, g.hint = nil, len(b.events)
	} else {
		delete(g.open, b.key)
	}
	if b.before != nil {
		b.before.after = b.after
	} else {
		g.oldest = b.after
	}
	if b.after != nil {
		b.after.before = b.before
	} else {
		g.newest = b.before
	}
	b.before, b.after = nil, nil
	b.trigger = why
	g.count--
	g.events -= len(b.events)
	g.full.Push(b)
}

// expire closes the batches whose deadline has come.
func (g *gatherer[T, P]) expire(now time.Duration) {
	for g.oldest != nil && g.oldest.deadline <= now {
		g.pass(g.oldest, TriggerTimeout)
	}
}

// deadline returns when the next batch has waited long enough; false without one.
func (g *gatherer[T, P]) deadline() (time.Duration, bool) {
	if g.oldest == nil || g.oldest.deadline == NoTimeout {
		return 0, false
	}
	return g.oldest.deadline, true
}

// passOldest closes the oldest batch, and reports whether there was one.
func (g *gatherer[T, P]) passOldest(why Trigger) bool {
	if g.oldest == nil {
		return false
	}
	g.pass(g.oldest, why)
	return true
}

// hurry notes that nothing more can come for the open batches: they are to be closed as
// soon as something can be done with them.
func (g *gatherer[T, P]) hurry() { g.urgent = g.begun }

// due reports whether, and why, the oldest batch is to be closed now. full reports that no
// more events may come before some are passed on.
func (g *gatherer[T, P]) due(now time.Duration, full bool) (why Trigger, ok bool) {
	switch b := g.oldest; {
	case b == nil:
		return 0, false
	case b.number <= g.urgent:
		return TriggerFlush, true
	case b.deadline <= now:
		return TriggerTimeout, true
	}
	return TriggerWindow, full
}

// flush closes all batches, the oldest first.
func (g *gatherer[T, P]) flush() {
	for g.passOldest(TriggerFlush) {
	}
}

// empty reports whether there is no batch here, neither open nor closed.
func (g *gatherer[T, P]) empty() bool { return g.count == 0 && g.full.Len() == 0 }

// take returns the next closed batch, in the order in which they were closed, or nil.
func (g *gatherer[T, P]) take() *gathered[T, P] {
	if g.full.Len() == 0 {
		return nil
	}
	return g.full.Pop()
}
