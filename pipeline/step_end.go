package pipeline

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/stage"
)

var errDeliveries = errors.New("pipeline: a step is called with deliveries")

// endStep is the handler of Each. Quick events of a step with one worker run on the stage's
// goroutine; all others, and those that have failed, are jobs of its pool. The goroutine
// that has ended a job gives its receipt.
type endStep[T any] struct {
	*stepBase[T, struct{}]
	direct func(ctx context.Context, event T) error // the program's function; nil if there is middleware

	// turns counts calls of settle that were not served. The goroutine that makes it 1
	// serves them all.
	turns atomic.Int64
	done  []stage.FinishedRun // of the events that have run on the stage's goroutine
}

// newEachStep returns the handler of Each. cfg has its defaults filled in.
func newEachStep[T any](f func(context.Context, T) error, cfg StepConfig[T], at stepPlace) *endStep[T] {
	cfg.Unordered = true // there is no output
	e := &endStep[T]{stepBase: newStepBase(cfg, at, always(eachFunc(f)))}
	if len(cfg.Use) == 0 {
		e.direct = f
	}
	e.pool.cfg.ready = e.settle
	e.pool.cfg.fail = func(err error) {
		e.halt(err)
		e.self.Send(halt{})
	}
	return e
}

// HandleSubscribeConfig implements stage.SubscribeConfigHandler: the step asks itself.
func (e *endStep[T]) HandleSubscribeConfig(cfg stage.SubscribeConfig) error {
	if cfg.Manual {
		return stepOwner(e.at.stage).Refuse("Manual", true, "false: the step asks as its window allows")
	}
	return nil
}

// HandleEvents implements stage.Consumer; the step is given deliveries instead.
func (e *endStep[T]) HandleEvents(context.Context, []T) error { return errDeliveries }

// HandleDelivery implements stage.DeliveryHandler.
func (e *endStep[T]) HandleDelivery(ctx context.Context, d stage.Delivery[T]) error {
	a := e.account(d.Subscription)
	i := 0
	if e.pool.arrive(&a.account, len(d.Events)) {
		var err error
		if i, err = e.inline(ctx, e.traces.before(d), a); err != nil {
			return err
		}
	}
	e.enqueue(d, i, a, nil)
	return nil
}

// inline is as that of a transformStep. It gives receipts, and asks, in groups.
func (e *endStep[T]) inline(ctx context.Context, d stage.Delivery[T], a *stepAccount[T]) (n int, err error) {
	e.late.enter()
	defer e.late.exit()
	events, half := d.Events, max(1, e.cfg.Window/2)
	for n < len(events) {
		first, end := n, min(n+half, len(events))
		begun, timed := e.clock(end - n)
		var failed error
		for {
			from := n
			n, failed = e.inlineUntil(ctx, events[:end], n)
			e.finished(d.First+uint64(from), n-from, nil)
			if failed == nil || !discarded(failed) {
				break
			}
			e.finished(d.First+uint64(n), 1, failed)
			n++
			failed = nil
		}
		if failed == stage.ErrDone { // the event was handled
			e.finished(d.First+uint64(n), 1, nil)
			e.settleRuns(a.sub, 0)
			return n, failed
		}
		e.settleRuns(a.sub, e.pool.earn(&a.account, n-first))
		if timed {
			e.pool.took(max(1, n-first), e.pool.clock()-begun)
		}
		if failed != nil {
			if ctx.Err() != nil {
				return n, failed
			}
			e.pool.addFailed(&a.account, 1, failed, func(w *work[T, struct{}]) {
				w.in, w.from, w.position = events[n], a, d.First+uint64(n)
			})
			return n + 1, nil
		}
		if n < end {
			return n, nil // it is late
		}
	}
	return n, nil
}

// finished notes the receipt for n events that have run on the stage's goroutine.
func (e *endStep[T]) finished(first uint64, n int, err error) {
	if n > 0 {
		e.done = append(e.done, stage.FinishedRun{First: first, Count: n, Err: err})
	}
}

// settleRuns gives the receipts that were noted, and asks for more.
func (e *endStep[T]) settleRuns(sub *stage.Subscription[T], ask int) {
	if ask > 0 || len(e.done) > 0 {
		sub.SettleRuns(ask, e.done...)
		clear(e.done)
		e.done = e.done[:0]
	}
}

// inlineUntil runs events from place at on, until one returns an error or the flag of
// lateness is set, and returns the place of that. One deferred call covers many events.
func (e *endStep[T]) inlineUntil(ctx context.Context, events []T, at int) (i int, err error) {
	if e.direct == nil {
		return e.inlineWork(ctx, events, at)
	}
	defer func() {
		if p := recover(); p != nil {
			i, err = e.place, crash.Of(p)
		}
	}()
	return e.inlineCalls(ctx, events, at)
}

// inlineCalls is the loop of inlineUntil, which keeps e.place up to date. It has no deferred
// call, since with one the compiler keeps what a loop needs in memory. What it changes for
// each event it reaches by one pointer.
func (e *endStep[T]) inlineCalls(ctx context.Context, events []T, at int) (i int, err error) {
	s, f := e.stepBase, e.direct
	for k, event := range events[at:] {
		s.place = at + k
		if s.late.flag.Load() {
			return at + k, nil
		}
		if err := f(ctx, event); err != nil {
			return at + k, err
		}
	}
	return len(events), nil
}

// inlineWork is inlineUntil with middleware.
func (e *endStep[T]) inlineWork(ctx context.Context, events []T, at int) (i int, err error) {
	i = at
	w := &e.lane
	defer func() {
		if p := recover(); p != nil {
			err = crash.Of(p)
		}
		w.wipe()
	}()
	for ; i < len(events); i++ {
		if e.late.flag.Load() {
			return i, nil
		}
		w.in = events[i]
		if err := e.call(ctx, w); err != nil {
			return i, err
		}
	}
	return i, nil
}

// give passes receipts to a subscription, and asks for more. It returns the emptied slice.
func give[T any](sub *stage.Subscription[T], ask int, list []stage.Finished) []stage.Finished {
	if ask > 0 || len(list) > 0 {
		sub.Settle(ask, list...)
		clear(list)
	}
	return list[:0]
}

// settle gives the receipts of the jobs that have ended, and asks for others. Any goroutine
// calls it, and one at a time does the work, for all that have called.
func (e *endStep[T]) settle() {
	if e.turns.Add(1) > 1 {
		return
	}
	for n := int64(1); ; {
		e.settleAll()
		left := e.turns.Add(-n)
		if left == 0 {
			return
		}
		n = left
	}
}

// settleAll is one turn of settle.
func (e *endStep[T]) settleAll() {
	first := e.pool.take()
	var last *job[work[T, struct{}]]
	done := false
	for j := first; j != nil; j = j.next {
		err := j.err
		if err == stage.ErrDone { // the event was handled, and the step needs no more
			err, done = nil, true
		}
		a := j.data.from
		a.finished = append(a.finished, stage.Finished{Position: j.data.position, Err: err})
		j.data.wipe()
		last = j
	}
	if first != nil {
		e.pool.recycle(first, last)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.accounts {
		a.finished = give(a.sub, e.pool.ask(&a.account), a.finished)
	}
	if done {
		e.self.Send(halt{stage.ErrDone})
	}
}

// HandleInfo implements stage.InfoHandler: it is how a worker's goroutine stops the stage.
func (e *endStep[T]) HandleInfo(_ context.Context, msg any) error {
	if h, ok := msg.(halt); ok && h.err != nil {
		return h.err
	}
	return e.stopped()
}
