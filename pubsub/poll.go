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
	wake chan struct{} // of the clock: a first watch came

	mu    sync.Mutex
	lists [len(pollPauses)]list.List // of *Watch
	n     int
}

var pollPauses = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// pollBatch bounds the watches that one look calls, so that deadlines are not
// held up by many watches.
const pollBatch = 1024

func (p *polls) add(w *Watch, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		poke(p.wake)
	}
	p.n++
	p.push(w, 0, now)
}

// push puts a watch at the end of a list. The mutex is held.
func (p *polls) push(w *Watch, level int, now time.Time) {
	w.level, w.due = level, now.Add(pollPauses[level])
	w.place = p.lists[level].PushBack(w)
}

func (p *polls) remove(w *Watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.place != nil {
		p.lists[w.level].Remove(w.place)
		w.place = nil
		p.n--
	}
}

// due returns watches whose pause is over and when to look again; zero if there
// are none.
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
