package consumer

import (
	"github.com/penstock-go/penstock/stage"
)

// account is what is due to one subscription. It is part of the pool's state.
type account[T any] struct {
	sub      *stage.Subscription[T]
	slots    int  // how many workers the subscription may have at once
	lot      int  // freed slots are asked for in groups of at least this many
	tracked  bool // its producer wants a receipt for each event
	measured bool // attempts are timed

	freed    int                 // slots that were not asked for again yet
	ended    int                 // events whose receipt was not handed over yet
	finished []stage.Finished    // those receipts, if tracked
	deferred map[uint64]struct{} // positions whose receipt the caller of Defer gives
	finish   func(position uint64, err error)
}

// receipt notes the end of an event.
func (a *account[T]) receipt(f stage.Finished) {
	a.ended++
	if a.tracked {
		a.finished = append(a.finished, f)
	}
}

// ask returns how many slots to ask for now. The slots that are in use and the
// events that wait for a deferred receipt together stay within maxDeferred, so
// that each event that runs or was asked for could be deferred as well.
func (a *account[T]) ask(maxDeferred int) int {
	if a.freed < a.lot {
		return 0
	}
	bound := max(maxDeferred, a.slots)
	return max(0, min(a.freed, bound-len(a.deferred)-(a.slots-a.freed)))
}

// settle orders the hand-over of what is due to a's subscription. While jobs wait
// a few receipts are kept back until there are more. hurry says that no step may
// follow soon: then everything is handed over that a producer waits for.
func (p *pool[T]) settle(a *account[T], hurry bool, o *orders[T]) {
	ask := a.ask(p.rules.maxDeferred)
	switch {
	case ask == 0 && a.ended == 0, p.phase == closed:
	case hurry && ask == 0 && !a.tracked:
		// The producer does not wait for the number of events that have ended.
	case !hurry && p.waiting.Len() > 0 && a.ended < company && ask < company:
	default:
		a.hand(ask, o)
	}
}

// hand orders a hand-over of all receipts and of the demand for ask slots.
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
	a.freed -= ask
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

// settleDeferred takes a deferred receipt, and reports whether anything is to be
// handed over. Then handed is called when that was done.
func (p *pool[T]) settleDeferred(a *account[T], f stage.Finished, o *orders[T]) bool {
	if _, open := a.deferred[f.Position]; !open || p.phase == closed {
		return false
	}
	delete(a.deferred, f.Position)
	a.receipt(f)
	p.settle(a, false, o)
	if len(o.settle) == 0 {
		return false
	}
	p.handing++
	return true
}

// handed ends a hand-over outside of the pool's goroutines.
func (p *pool[T]) handed(o *orders[T]) {
	p.handing--
	p.hush(o)
}
