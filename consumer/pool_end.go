package consumer

import (
	"fmt"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// ended decides what follows from the end of an attempt. It reports whether the goroutine
// keeps the task, which then has a failure to report.
//
// The order of the cases matters: a success counts even while the supervisor is being
// stopped, and a failure then does not, since the stop may have caused it.
func (p *pool[T]) ended(t *task[T], e *event, o *orders[T]) bool {
	t.trying = false
	// One long job is enough to give the next ones away in numbers, one short job to stop
	// that.
	if e.timed {
		p.slow = e.cost > slowJob
	}
	if e.err == nil || discarded(e.err) {
		p.conclude(t, e.err, e.cost, o)
		return false
	}
	if e.cancelled {
		// The worker may have returned early because the stage is being stopped:
		// its producer must not take the event for finished.
		p.release(t)
		return false
	}
	if t.first == 0 {
		t.first = max(1, e.now)
	}
	failure := &WorkerError{Stage: p.rules.stage, Attempt: t.attempt, Err: e.err}
	t.again = e.again && p.rules.restart == Transient && !t.deferred
	// The stage fails. The event has no receipt, so that its source has it again.
	if t.again && e.counts && !p.mayRestart(e.now) {
		o.some = true
		o.halt = fmt.Errorf("%w: %w", ErrTooManyRestarts, failure)
		p.release(t)
		return false
	}
	if t.again {
		p.restarted++
		t.pause, t.counts = e.pause, e.counts
		t.line = p.again.Note(e.now, 1, e.err, t.attempt, true)
	} else {
		if !t.deferred {
			p.failed++
		}
		t.line = p.forGood.Note(e.now, 1, e.err, t.attempt, false)
	}
	t.failure, t.cost = failure, e.cost
	o.do = report
	return true
}

// reported decides what follows when a failure was reported. It reports whether the
// goroutine keeps the task, for another attempt. e.err is set if Failed has panicked or
// ended its goroutine, which stops the stage.
func (p *pool[T]) reported(t *task[T], e *event, o *orders[T]) bool {
	if e.err != nil {
		o.some = true
		o.halt = fmt.Errorf("option Failed: %w", e.err)
	}
	switch {
	case !t.again:
		p.conclude(t, t.failure, t.cost, o)
		return false
	// The stage is being stopped. The order to stop may have come during the report.
	case p.phase != working, e.cancelled:
		p.release(t) // no receipt: it might have succeeded yet
		return false
	}
	if t.counts {
		t.attempt++
	}
	if t.pause > 0 {
		p.rest(t, e.now, o)
		return false
	}
	t.begin()
	o.do, o.timed = try, t.account.measured
	return true
}

// conclude frees the slot of a task that has one and gives its receipt, unless that is
// deferred. Then the slot is free, and the event counts as deferred.
func (p *pool[T]) conclude(t *task[T], err error, cost time.Duration, o *orders[T]) {
	a := t.account
	if t.away {
		a.away--
	} else {
		a.freed++
	}
	if !t.deferred {
		a.receipt(stage.Finished{Position: t.position, Err: err, Cost: cost})
	}
	p.release(t)
	p.settle(a, false, o)
}

// release ends the work on a task, without a receipt. Its slot is not freed by it: after a
// stop nothing is asked for. A job that was held for want of workers comes next.
func (p *pool[T]) release(t *task[T]) {
	p.busy--
	t.account.workers--
	if held := &t.account.held; held.Len() > 0 && p.phase == working {
		p.due.Push(held.Pop())
	}
	if p.ticks-t.begun >= longTicks {
		t.account.long--
	}
	t.begun = none
}

// mayRestart counts a restart and reports whether the limit allows it: at most maxRestarts
// within window. now is the time since the start.
func (p *pool[T]) mayRestart(now time.Duration) bool {
	if p.rules.maxRestarts == stage.Unlimited {
		return true
	}
	for p.restarts.Len() > 0 && now-*p.restarts.At(0) > p.rules.window {
		p.restarts.Drop(1)
	}
	// The one that exceeds the limit is counted too; the stage stops for it.
	p.restarts.Push(now)
	return p.restarts.Len() <= p.rules.maxRestarts
}
