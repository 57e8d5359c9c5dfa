package consumer

import (
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// account is what is due to one subscription: freed slots to ask for, and receipts to
// give. It is part of the pool's state, and guarded by the supervisor's lock.
type account[T any] struct {
	sub      *stage.Subscription[T]
	slots    int  // how many workers the subscription may have at once
	group    int  // freed slots are asked for in groups of at least this many
	tracked  bool // its producer wants a receipt for each event; may become true later
	measured bool // attempts are timed

	freed    int                 // slots that were not asked for again yet
	aged     bool                // some of them were there at the last tick
	long     int                 // workers that have run for longTicks or more
	ended    int                 // events whose receipt was not handed over yet
	finished []stage.Finished    // those receipts, if tracked
	deferred map[uint64]struct{} // positions whose receipt the caller of Defer gives

	workers int                    // that have a job of the subscription
	away    int                    // events that have failed, gave their slot back and are not finished
	held    ring.Ring[comeback[T]] // jobs that wait for one of the workers to end
	finish  func(position uint64, err error)
}

// track begins to note receipts one by one. Those of events that have ended before
// stay a number: their producer has no account of those events.
func (a *account[T]) track() {
	a.tracked = true
	a.measured = a.measured || a.sub.Costs()
	a.finished = blank(a.finished, a.ended)
}

// receipt notes the end of an event.
func (a *account[T]) receipt(f stage.Finished) {
	a.ended++
	if a.tracked {
		a.finished = append(a.finished, f)
	}
}

// ask returns how many slots to ask for now: none until they make up a group.
func (a *account[T]) ask(maxDeferred int) int {
	if a.freed < a.least() {
		return 0
	}
	return a.room(maxDeferred)
}

// least returns how many slots are asked for at least. The slots of workers that
// take long do not count: the others must not wait for them.
func (a *account[T]) least() int { return max(1, a.group-a.long) }

// room returns how many of the free slots may be asked for. The slots that are in
// use, the events that wait for a deferred receipt and those that are tried again
// together stay within maxDeferred, so that each event that runs or was asked for could
// be deferred as well.
func (a *account[T]) room(maxDeferred int) int {
	bound := max(maxDeferred, a.slots)
	return max(0, min(a.freed, bound-len(a.deferred)-a.away-(a.slots-a.freed)))
}

// settle orders the hand-over of what is due to a's subscription. While jobs wait
// a few receipts are kept back until there are more. hurry is set if no step may
// follow soon: then everything is handed over that a producer waits for.
func (p *pool[T]) settle(a *account[T], hurry bool, o *orders[T]) {
	ask := a.ask(p.rules.maxDeferred)
	switch {
	case ask == 0 && a.ended == 0, p.phase == closed:
	case hurry && ask == 0 && !a.tracked:
		// The producer does not wait for the number of events that have ended.
	case !hurry && p.jobs() > 0 && a.ended < company && ask < company:
	default:
		a.hand(ask, o)
	}
	if !p.ticking && a.freed > 0 && a.freed < a.least() && p.phase == working {
		p.ticking = true
		o.some, o.remind = true, true
	}
}

// tick asks for slots that have been free since the last tick, however few they are, and
// for those that make up a group without the slots of long workers. It is called once
// after patience when it was ordered, on a timer's goroutine.
func (p *pool[T]) tick(o *orders[T]) {
	p.ticking = false
	if p.phase != working {
		return
	}
	p.ticks++
	for _, t := range p.tasks {
		if t.begun != none && p.ticks-t.begun == longTicks {
			t.account.long++
		}
	}
	for _, a := range p.accounts {
		ask := a.ask(p.rules.maxDeferred)
		if a.aged {
			ask = a.room(p.rules.maxDeferred)
		}
		if ask > 0 {
			a.hand(ask, o)
		}
		if a.aged = a.freed > 0 && a.freed < a.least(); a.aged {
			p.ticking = true
			o.some, o.remind = true, true
		}
	}
	p.handsOver(o)
}

// hand orders a hand-over of all receipts and of the demand for ask slots. The list of
// receipts changes places with an emptied one, so that neither is allocated.
func (a *account[T]) hand(ask int, o *orders[T]) {
	o.some = true
	n := len(o.settle)
	if n == cap(o.settle) {
		o.settle = append(o.settle, handover[T]{})
	}
	o.settle = o.settle[:n+1]
	h := &o.settle[n]
	h.sub, h.ask, h.ended, h.tracked = a.sub, ask, a.ended, a.tracked
	if a.tracked {
		h.list, a.finished = a.finished, h.list[:0]
	}
	if ask > 0 {
		a.freed -= ask
		// What is freed from now on waits for a tick of its own.
		a.aged = false
	}
	a.ended = 0
}

// postpone leaves the receipt of a task's event to the caller of Defer, and
// reports whether that is possible.
func (p *pool[T]) postpone(t *task[T]) bool {
	if t.deferred || !t.trying {
		return false
	}
	t.deferred = true
	t.account.deferred[t.position] = struct{}{}
	return true
}

// settleDeferred takes a receipt that was deferred. A second one for the same event does
// nothing.
func (p *pool[T]) settleDeferred(a *account[T], f stage.Finished, o *orders[T]) {
	if _, open := a.deferred[f.Position]; !open || p.phase == closed {
		return
	}
	// Its room may allow slots to be asked for that maxDeferred has held back.
	delete(a.deferred, f.Position)
	a.receipt(f)
	p.settle(a, false, o)
	p.handsOver(o)
}

// handsOver notes that a goroutine which is not the pool's has hand-overs to
// carry out, if it has any. handed is called when that was done.
func (p *pool[T]) handsOver(o *orders[T]) {
	if len(o.settle) > 0 {
		p.handing++
	}
}

// handed ends hand-overs outside of the pool's goroutines.
func (p *pool[T]) handed(o *orders[T]) {
	p.handing--
	p.hush(o)
}
