package consumer

import (
	"math"
	"time"

	"github.com/penstock-go/penstock/internal/heap"
)

// comeback is a job that is begun before those that have just arrived: its pause is over,
// or it was its turn while its subscription had no worker to spare.
type comeback[T any] struct {
	job[T]
	attempt int  // the next one, from 1
	away    bool // the event has given its slot back
}

// pauses holds the jobs that wait for their next attempt, by the time at which that is due.
// It is part of the pool's state.
type pauses[T any] struct {
	due   heap.Heap[time.Duration]
	jobs  []comeback[T] // by the number of the heap's member
	free  []uint32      // numbers not in use
	added uint64        // orders those that are due at the same time
}

// keepPauses is for how many jobs the memory is kept when none waits.
const keepPauses = 1024

// add puts a job in until at, and reports whether it is due before all others.
func (p *pauses[T]) add(at time.Duration, c comeback[T]) bool {
	var n uint32
	if last := len(p.free) - 1; last >= 0 {
		n, p.free = p.free[last], p.free[:last]
		p.jobs[n] = c
	} else {
		n = uint32(len(p.jobs))
		p.jobs = append(p.jobs, c)
	}
	p.added++
	p.due.Push(heap.Entry[time.Duration]{Key: at, Tie: p.added, ID: n}, unmoved)
	return p.due[0].ID == n
}

// first returns when the next job is due.
func (p *pauses[T]) first() (at time.Duration, ok bool) {
	if len(p.due) == 0 {
		return 0, false
	}
	return p.due[0].Key, true
}

// take removes a job that is due at now.
func (p *pauses[T]) take(now time.Duration) (c comeback[T], ok bool) {
	if at, some := p.first(); !some || at > now {
		return c, false
	}
	n := p.due[0].ID
	p.due.Remove(0, unmoved)
	c, p.jobs[n] = p.jobs[n], c
	if p.free = append(p.free, n); len(p.due) == 0 && len(p.jobs) > keepPauses {
		*p = pauses[T]{} // what an outage took is given back
	}
	return c, true
}

// unmoved is called for members that have a new place in the heap: only the first is ever
// removed, so that no place is needed.
func unmoved(uint32, int) {}

// rest ends the work on a task until its pause is over. Its goroutine is free for other
// jobs, and so is its slot, except for the only one of a subscription: with that, events
// are handled one after the other.
func (p *pool[T]) rest(t *task[T], now time.Duration, o *orders[T]) {
	a := t.account
	if !t.away && a.slots > 1 {
		t.away = true
		a.away++
		a.freed++
	}
	at := now + min(t.pause, math.MaxInt64-now)
	if p.pauses.add(at, comeback[T]{job: t.job, attempt: t.attempt, away: t.away}) {
		o.some, o.alarm = true, true
	}
	p.release(t)
	p.settle(a, false, o)
}

// alarm brings the jobs back whose pauses are over, before those that wait. It is called on
// a timer's goroutine, which then waits for the next ones.
func (p *pool[T]) alarm(now time.Duration, o *orders[T]) {
	if p.phase != working {
		return
	}
	for c, ok := p.pauses.take(now); ok; c, ok = p.pauses.take(now) {
		p.due.Push(c)
	}
	p.wake(o)
}

// take gives the task its next job, if there is one. Jobs of subscriptions that have as
// many workers as they may have are held until one of these has ended: that happens only
// when events have come back after their slots were given to others. held reports whether
// there were any.
func (p *pool[T]) take(t *task[T]) (ok, held bool) {
	for p.due.Len() > 0 {
		c := p.due.Pop()
		if a := c.account; a.workers >= a.slots {
			a.held.Push(c)
			held = true
			continue
		}
		t.job, t.attempt, t.away = c.job, c.attempt, c.away
		return true, held
	}
	for p.waiting.Len() > 0 {
		j := p.waiting.Pop()
		if a := j.account; a.workers >= a.slots {
			a.held.Push(comeback[T]{job: j, attempt: 1})
			held = true
			continue
		}
		t.job, t.attempt, t.away = j, 1, false
		return true, held
	}
	return false, held
}

// jobs returns how many jobs wait to be begun.
func (p *pool[T]) jobs() int { return p.waiting.Len() + p.due.Len() }
