package pubsub

import (
	"slices"
	"sync"
	"time"
)

// pendings are the deliveries of this node that other nodes have still to answer.
// A delivery ends with the first node that has it, with the negative answer of the
// last of a known number of nodes, or at its deadline. All deadlines are the same
// time ahead, so that a list in the order of arrival is in their order as well.
//
// The mutex is a leaf: no function of a caller runs under it.
type pendings struct {
	timeout time.Duration
	wake    chan struct{} // of the clock: the list is not empty any more

	mu          sync.Mutex
	running     bool // there is a receiver for answers and a clock
	lastID      uint64
	byID        map[uint64]*pending
	first, last *pending
}

// pending is one such delivery. Its fields are guarded by pendings.mu.
type pending struct {
	id         uint64
	tally      *Tally
	until      time.Time
	nodes      int      // that will answer; unknown until Publish has returned
	negative   []string // nodes that answered that no subscriber there has it
	prev, next *pending
}

// unknown is the number of nodes that will answer until Publish has returned, and
// of a remote that does not count them.
const unknown = -1

// setRunning notes that Run begins, or that it has ended: then nothing is added.
func (p *pendings) setRunning(running bool) {
	p.mu.Lock()
	p.running = running
	p.mu.Unlock()
}

// open adds a delivery before it is published, since an answer can overtake the
// return of Publish. It reports false if answers cannot come.
func (p *pendings) open(e *pending, t *Tally, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return false
	}
	// The clock waits for the first deadline only. One that is added to a list with
	// others is later than theirs, so that the clock need not wake.
	p.lastID = max(p.lastID+1, 1) // 0 asks for no answer
	e.id, e.tally, e.until, e.nodes = p.lastID, t, now.Add(p.timeout), unknown
	p.byID[e.id] = e
	if e.prev = p.last; e.prev != nil {
		e.prev.next = e
	} else {
		p.first = e
		poke(p.wake)
	}
	p.last = e
	return true
}

// remove takes e out. It reports false if e had ended before. The mutex is held.
func (p *pendings) remove(e *pending) bool {
	if p.byID[e.id] != e {
		return false
	}
	delete(p.byID, e.id)
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		p.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		p.last = e.prev
	}
	e.prev, e.next = nil, nil
	return true
}

// published notes how many nodes will answer. The last negative answer may have
// come before: then the delivery ends here.
func (p *pendings) published(e *pending, nodes int) {
	p.mu.Lock()
	e.nodes = nodes
	over := nodes != unknown && len(e.negative) >= nodes && p.remove(e)
	p.mu.Unlock()
	if over {
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
}

// abandon ends a delivery that could not be published.
func (p *pendings) abandon(e *pending) {
	p.mu.Lock()
	over := p.remove(e)
	p.mu.Unlock()
	if over {
		e.tally.Report(time.Time{}, ErrNoAnswer)
	}
}

// answered takes the answer of a node. It reports false for one that is late or
// came before.
func (p *pendings) answered(node string, a answer, now time.Time) bool {
	p.mu.Lock()
	e := p.byID[a.id]
	if e == nil || slices.Contains(e.negative, node) {
		p.mu.Unlock()
		return false
	}
	if a.kept {
		e.tally.keptThere.Store(true)
	}
	// The tally is told after the mutex is free, since that may call the function
	// given to Deliver, which may deliver again.
	over := true
	if a.err == nil {
		p.remove(e)
	} else {
		e.tally.note(a.err)
		e.negative = append(e.negative, node)
		if over = e.nodes != unknown && len(e.negative) >= e.nodes; over {
			p.remove(e)
		}
	}
	p.mu.Unlock()
	switch {
	case a.err == nil:
		e.tally.Report(now, nil)
	case over:
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
	return true
}

// expire ends deliveries whose deadline is over, all if at is zero, and returns
// how many of them had no other end, and the next deadline.
func (p *pendings) expire(at time.Time) (unanswered int, next time.Time) {
	for {
		p.mu.Lock()
		e := p.first
		if e == nil || (!at.IsZero() && e.until.After(at)) {
			if e != nil {
				next = e.until
			}
			p.mu.Unlock()
			return unanswered, next
		}
		p.remove(e)
		p.mu.Unlock()
		if !e.tally.told.Load() {
			unanswered++
		}
		e.tally.Report(time.Time{}, ErrNoAnswer)
	}
}

// count returns the number of deliveries that wait.
func (p *pendings) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID)
}

// poke wakes a goroutine that waits on a channel of capacity 1.
func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
