package pubsub

import (
	"container/list"
	"sync"
	"time"
)

// polls calls the watches of a node of several from time to time: a subscription
// on another node, or room there, is not reported, so that trying again is what
// finds it. A watch is called after the first pause, then after ever longer ones.
// Watches with the same pause stand in one list, in the order in which they are
// due.
//
// Lock order: shard.mu → polls.mu, which is a leaf.
type polls struct {
	wake chan struct{} // of the clock: the list of the shortest pause is not empty any more

	mu sync.Mutex
	// By index of the pause. A watch moves to the next list each time that it is
	// called.
	lists [len(pollPauses)]list.List // of *Watch
}

// pollPauses are the pauses of a watch. The last one is repeated.
var pollPauses = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// pollBatch bounds the watches that one look calls, so that deadlines are not
// held up by many watches.
const pollBatch = 1024

// add adds a watch with the shortest pause. The shard's mutex is held.
func (p *polls) add(w *Watch, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The clock knows the first watch of each list. It may wait for longer than
	// the shortest pause if that list was empty.
	if p.lists[0].Len() == 0 {
		poke(p.wake)
	}
	p.push(w, 0, now)
}

// push puts a watch at the end of a list. The mutex is held.
func (p *polls) push(w *Watch, level int, now time.Time) {
	w.level, w.due = level, now.Add(pollPauses[level])
	w.place = p.lists[level].PushBack(w)
}

// remove takes a watch out; one that is not there is ignored. The shard's mutex is
// held.
func (p *polls) remove(w *Watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.place != nil {
		p.lists[w.level].Remove(w.place)
		w.place = nil
	}
}

// due returns watches whose pause is over, at most pollBatch for each list, and
// when to look again; zero if there are none. The caller calls them without any
// lock.
func (p *polls) due(now time.Time) (all []*Watch, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for level := range p.lists {
		for len(all) < pollBatch {
			first := p.lists[level].Front()
			if first == nil {
				break
			}
			w := first.Value.(*Watch)
			if w.due.After(now) {
				break
			}
			p.lists[level].Remove(first)
			p.push(w, min(level+1, len(p.lists)-1), now)
			all = append(all, w)
		}
	}
	for level := range p.lists {
		if first := p.lists[level].Front(); first != nil {
			if due := first.Value.(*Watch).due; next.IsZero() || due.Before(next) {
				next = due
			}
		}
	}
	return all, next
}
