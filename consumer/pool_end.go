package consumer

import (
	"fmt"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// ended decides what follows from the end of an attempt. It reports whether the
// goroutine keeps the task, which then has a failure to report.
func (p *pool[T]) ended(t *task[T], e *event, o *orders[T]) bool {
	t.trying = false
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
		p.busy--
		return false
	}
	failure := &WorkerError{Stage: p.rules.stage, Attempt: t.attempt, Err: e.err}
	t.again = p.rules.restart == Transient && !t.deferred &&
		(p.rules.maxAttempts == 0 || t.attempt < p.rules.maxAttempts)
	if t.again && !p.mayRestart(e.now) {
		o.some = true
		o.halt = fmt.Errorf("%w: %w", ErrTooManyRestarts, failure)
		p.busy--
		return false
	}
	t.failure, t.cost = failure, e.cost
	o.do = report
	return true
}

// reported decides what follows when a failure was reported. It reports whether
// the goroutine keeps the task, for another attempt.
func (p *pool[T]) reported(t *task[T], e *event, o *orders[T]) bool {
	if e.err != nil {
		o.some = true
		o.halt = fmt.Errorf("option Failed: %w", e.err)
	}
	switch {
	case !t.again:
		p.conclude(t, t.failure, t.cost, o)
		return false
	case p.phase != working:
		p.busy--
		return false
	}
	t.attempt++
	t.begin()
	o.do, o.timed = try, t.account.measured
	return true
}

// conclude frees the slot of a task and gives its receipt, unless that is
// deferred.
func (p *pool[T]) conclude(t *task[T], err error, cost time.Duration, o *orders[T]) {
	a := t.account
	a.freed++
	if !t.deferred {
		a.receipt(stage.Finished{Position: t.position, Err: err, Cost: cost})
	}
	p.busy--
	p.settle(a, false, o)
}

// mayRestart counts a restart and reports whether the limit allows it.
func (p *pool[T]) mayRestart(now time.Duration) bool {
	if p.rules.maxRestarts == stage.Unlimited {
		return true
	}
	for p.restarts.Len() > 0 && now-*p.restarts.At(0) > p.rules.window {
		p.restarts.Drop(1)
	}
	p.restarts.Push(now)
	return p.restarts.Len() <= p.rules.maxRestarts
}
