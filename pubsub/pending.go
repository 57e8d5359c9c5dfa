package pubsub

import (
	"slices"
	"sync"
	"time"
)

// pendings are the deliveries of this node that other nodes have still to answer.
// A delivery ends with the first node that has it, with the negative answer of the
// last of a known number of nodes, or at its deadline. That comes sooner after a
// negative answer if the number is unknown: mostly one node has a user. It comes sooner
// too when a node leaves that may have been asked.
//
// The mutex is a leaf: no function of a caller runs under it.
type pendings struct {
	timeout time.Duration
	wake    chan struct{} // of the clock: a list is not empty any more

	mu      sync.Mutex
	running bool // there is a receiver for answers and a clock
	lastID  uint64
	byID    map[uint64]*pending
	byTopic map[string]*pending // the newest of each topic
	all     pendingList         // ends after timeout
	young   *pending            // of all: the first that was not looked at for a question; the later ones follow it
	soon    pendingList         // ends answerSpread after a negative answer or a goodbye
}

// answerSpread is how much later than a negative answer another node may answer, if
// the remote does not know how many will, and than the goodbye of one that may have had
// the delivery.
const answerSpread = 250 * time.Millisecond

// pendingList has deliveries whose deadlines are the same time ahead, so that the
// order of arrival is that of the deadlines as well.
type pendingList struct{ first, last *pending }

// push reports whether the list was empty.
func (l *pendingList) push(e *pending) (first bool) {
	e.list = l
	if e.prev = l.last; e.prev != nil {
		e.prev.next = e
	} else {
		l.first = e
	}
	l.last = e
	return e.prev == nil
}

func (l *pendingList) remove(e *pending) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
}

// pending is one such delivery. Its fields are guarded by pendings.mu.
type pending struct {
	id         uint64
	tally      *Tally
	of         *remoteDelivery
	until      time.Time
	nodes      int      // that will answer; unknown until Publish has returned
	negative   []string // nodes that answered that no subscriber there has it
	asked      []string // nodes that were asked what became of it
	sent       bool     // Publish has returned
	overdue    bool     // it had not when a question was due
	passed     bool     // a newer delivery was made on the topic: it is not sent again
	list       *pendingList
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
	p.pass(e.of.Topic)
	if !p.running {
		return false
	}
	// The clock waits for the first deadline only. One that is added to a list with
	// others is later than theirs, so that the clock need not wake.
	p.lastID = max(p.lastID+1, 1) // 0 asks for no answer
	e.id, e.tally, e.until, e.nodes = p.lastID, t, now.Add(p.timeout), unknown
	p.byID[e.id], p.byTopic[e.of.Topic] = e, e
	first := p.all.push(e)
	if p.young == nil {
		p.young, first = e, true
	}
	if first {
		poke(p.wake)
	}
	return true
}

// newer notes a delivery that no node is to answer.
func (p *pendings) newer(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(topic)
}

// pass notes that a newer delivery is made on a topic. The mutex is held.
func (p *pendings) pass(topic string) {
	if e := p.byTopic[topic]; e != nil { // it has noted those before it
		e.passed = true
	}
}

// remove takes e out. It reports false if e had ended before. The mutex is held.
func (p *pendings) remove(e *pending) bool {
	if p.byID[e.id] != e {
		return false
	}
	delete(p.byID, e.id)
	if p.byTopic[e.of.Topic] == e {
		delete(p.byTopic, e.of.Topic)
	}
	p.unlist(e)
	return true
}

// unlist takes e out of its list. The mutex is held.
func (p *pendings) unlist(e *pending) {
	if p.young == e {
		p.young = e.next
	}
	e.list.remove(e)
}

// published notes how many nodes will answer. The last negative answer may have
// come before: then the delivery ends here. doubt is set if the others are to be asked
// now, since a question could have overtaken the delivery when it was due.
func (p *pendings) published(e *pending, nodes int) (doubt bool) {
	p.mu.Lock()
	e.sent = true
	over := p.know(e, nodes)
	doubt = p.byID[e.id] == e && e.nodes == unknown && e.asked == nil && (len(e.negative) > 0 || e.overdue)
	p.mu.Unlock()
	if over {
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
	return doubt
}

// counted is published for a delivery whose number of nodes the remote has learned
// later. One that has ended is ignored.
func (p *pendings) counted(id uint64, nodes int) {
	p.mu.Lock()
	e := p.byID[id]
	over := e != nil && p.know(e, nodes)
	p.mu.Unlock()
	if over {
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
}

// know notes the number of nodes and reports whether the delivery has ended with it.
// What is known already, perhaps before Publish has returned, is not forgotten. The
// mutex is held.
func (p *pendings) know(e *pending, nodes int) (over bool) {
	if nodes == unknown {
		return false
	}
	e.nodes = nodes
	return len(e.negative) >= nodes && p.remove(e)
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
// came before. doubt is set if the others are to be asked now.
func (p *pendings) answered(node string, a answer, now time.Time) (taken, doubt bool) {
	p.mu.Lock()
	e := p.byID[a.id]
	if e == nil || slices.Contains(e.negative, node) {
		p.mu.Unlock()
		return false, false
	}
	if a.err == errLate { // no end: it is sent again
		p.mu.Unlock()
		return true, false
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
		if over = p.answeredByAll(e); over {
			p.remove(e)
		} else if e.nodes == unknown && e.asked == nil { // otherwise the rest will answer
			p.hasten(e, now)
			doubt = e.sent
		}
	}
	p.mu.Unlock()
	switch {
	case a.err == nil:
		e.tally.Report(now, nil)
	case over:
		e.tally.Report(time.Time{}, ErrNoSubscriber)
	}
	return true, doubt
}

// hasten makes a delivery end soon. The mutex is held.
func (p *pendings) hasten(e *pending, now time.Time) {
	until := now.Add(answerSpread)
	if e.list != &p.all || !until.Before(e.until) {
		return
	}
	p.unlist(e)
	e.until = until
	if p.soon.push(e) {
		poke(p.wake)
	}
}

// left notes that a node has left. What it has not answered it never will, unless it
// was not asked.
func (p *pendings) left(node string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.all.first; e != nil; {
		next := e.next // hasten takes e out
		if !slices.Contains(e.negative, node) {
			p.hasten(e, now)
		}
		e = next
	}
}

// expire ends deliveries whose deadline is over, all if at is zero, and returns
// how many of them had no other end, and the next deadline.
func (p *pendings) expire(at time.Time) (unanswered int, next time.Time) {
	for _, list := range []*pendingList{&p.soon, &p.all} {
		for {
			p.mu.Lock()
			e := list.first
			if e == nil || (!at.IsZero() && e.until.After(at)) {
				if e != nil && (next.IsZero() || e.until.Before(next)) {
					next = e.until
				}
				p.mu.Unlock()
				break
			}
			p.remove(e)
			p.mu.Unlock()
			if !e.tally.told.Load() {
				unanswered++
			}
			e.tally.Report(time.Time{}, ErrNoAnswer)
		}
	}
	return unanswered, next
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
