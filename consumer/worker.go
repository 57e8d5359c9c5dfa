package consumer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/pprof"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/tracing"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// worker is a goroutine of the pool, which runs one job after the other. The fields above
// the last group belong to that goroutine.
type worker[T any] struct {
	s    *Supervisor[T]
	wake chan struct{} // holds one token at most
	ctx  workerContext[T]
	// orders are kept from step to step for their storage.
	orders orders[T]
	doing  happening // what a user function that is running will have been
	asking bool      // that function is Retryable

	// Guarded by s.mu. task is nil once another goroutine has taken it over.
	task *task[T]
	next *worker[T]
}

// workerContext is the context of all jobs of a worker: making one for each job would cost
// an allocation. Defer finds the job that runs by it.
type workerContext[T any] struct {
	context.Context
	worker *worker[T]
}

type workerKey struct{}

// Value implements context.Context.
func (c *workerContext[T]) Value(key any) any {
	if _, ok := key.(workerKey); ok {
		return c.worker
	}
	return c.Context.Value(key)
}

// newWorker makes a worker with an empty task. Its goroutine is not running yet.
// The token of wake lets carryOut send without waiting for the worker to park.
func newWorker[T any](s *Supervisor[T]) *worker[T] {
	w := &worker[T]{s: s, wake: make(chan struct{}, 1), task: new(task[T])}
	w.ctx = workerContext[T]{Context: s.ctx, worker: w}
	return w
}

// run is the goroutine: it locks, lets the pool decide, unlocks and does what was decided,
// until it leaves the pool. e is what has happened to its task. A user function that calls
// Goexit ends it; another goroutine then continues.
func (w *worker[T]) run(e event) {
	clean := false
	defer func() {
		if !clean {
			w.exited()
		}
	}()
	s, o := w.s, &w.orders
	// The goroutine can be started by any other one, whose labels it would have.
	pprof.SetGoroutineLabels(s.ctx)
	for {
		// The orders of the last step were carried out.
		o.reset()
		var idle *worker[T]
		s.mu.Lock()
		if w.task == nil {
			// The attempt has returned after overdue took the task away. Its result is
			// dropped.
			s.pool.stray(o)
		} else {
			s.pool.step(w.task, &e, o)
		}
		if o.wake > 0 {
			idle = s.popIdle(o.wake)
		}
		if o.do == park {
			// Under the lock of the decision: an idle worker that the pool counts
			// is always in the stack.
			w.next, s.idle = s.idle, w
		}
		s.mu.Unlock()
		if o.some {
			s.carryOut(o, idle)
		}
		switch o.do {
		case try:
			w.attempt(&e, o.timed)
		case report:
			w.report(&e)
		case park:
			<-w.wake
			e.what = woken
		case back:
			e.what = returned
		case leave:
			// Any other way out of this function is a user function that has called
			// Goexit.
			clean = true
			return
		}
	}
}

// attempt runs an attempt of the task and notes in e how it ended. The clock is read only
// if timed is set, or the attempt has failed: on short jobs it would be noticed.
func (w *worker[T]) attempt(e *event, timed bool) {
	s := w.s
	w.doing = ended
	attempt := w.task.attempt // overdue may take the task away
	if e.timed = timed; timed {
		var span trace.Context // before the receipt, which ends it
		if s.tracer != nil {
			span = w.task.account.sub.TraceContext(w.task.position)
		}
		begun := s.clock()
		e.err = w.once()
		e.cost = s.clock() - begun
		if s.tracer == nil {
			s.timer.Observe(e.cost)
		} else {
			metrics.ObserveTraced(s.timer, e.cost, span)
		}
	} else {
		e.err, e.cost = w.once(), 0
	}
	e.what = ended
	if e.err != nil {
		w.decide(e, attempt)
		e.now, e.cancelled = s.clock(), s.ctx.Err() != nil
	}
}

// decide asks the policy about an attempt that has failed, unless nothing follows from the
// decision.
func (w *worker[T]) decide(e *event, attempt int) {
	if w.s.cfg.Restart == Temporary || discarded(e.err) {
		e.decision = decision{}
		return
	}
	w.asking = true
	e.decision, e.err = decide(w.s.cfg.Retry, attempt, e.err)
	w.asking = false
}

// once runs the worker's function one time. A panic is a failure of the attempt.
func (w *worker[T]) once() (err error) {
	defer crash.Catch(&err)
	if w.s.tracer != nil {
		// The receipt ends the span, so that it is there during all attempts.
		if c := w.task.account.sub.TraceContext(w.task.position); c.IsSampled() {
			return tracing.Try(&w.ctx, w.s.tracer, c, w.s.self.Name(), w.task.attempt, w.within)
		}
	}
	return w.within(&w.ctx)
}

// within is once in a context.
func (w *worker[T]) within(ctx context.Context) error {
	if w.s.cfg.Timeout > 0 {
		return w.limited(ctx, w.s.cfg.Timeout)
	}
	return w.s.work(ctx, w.task.event)
}

// limited is once with a timeout. A worker that does not return in time after its context
// was cancelled, within a tenth of the timeout, loses its task. Then w.task is nil when
// work returns: the job is read before.
func (w *worker[T]) limited(ctx context.Context, timeout time.Duration) error {
	// overdue may take the task away while work runs.
	job, try, limit := w.task.event, w.task.tries, timeout+min(timeout/10, math.MaxInt64-timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	hung := time.AfterFunc(limit, func() { w.overdue(try, limit) })
	defer hung.Stop()
	err := w.s.work(ctx, job)
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == ErrTimeout {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// report logs the task's failure, and calls Failed if the event has failed for good.
// If the receipt is deferred, the caller of Defer decides about the event.
func (w *worker[T]) report(e *event) {
	s, t := w.s, w.task
	w.doing = reported
	failed := t.failure.(*WorkerError)
	switch {
	case t.again:
		s.meters.retries.Add(1)
	case !t.deferred:
		s.meters.failures.Add(1)
	}
	t.line.Log(s.cfg.Logger, "worker", failed.Stage)
	// The failure is in the task by now.
	*e = event{what: reported}
	switch {
	case t.again:
		e.now, e.cancelled = s.clock(), s.ctx.Err() != nil
	case !t.deferred:
		w.bury(failed)
		if s.cfg.Failed != nil {
			e.err = w.callFailed(failed)
		}
	}
}

// callFailed calls Failed and returns its panic as an error.
func (w *worker[T]) callFailed(failed error) (err error) {
	defer crash.Catch(&err)
	w.s.cfg.Failed(w.task.event, failed)
	return nil
}

// overdue takes the task away from the worker if the attempt with the number try has not
// ended. It runs on a timer's goroutine, and may come late: the number tells an attempt
// from the next ones of the same task.
func (w *worker[T]) overdue(try uint64, limit time.Duration) {
	s := w.s
	s.mu.Lock()
	late := w.task != nil && w.task.trying && w.task.tries == try
	var next *worker[T]
	if late {
		next = w.succeed()
		// The goroutine still runs; it counts as stuck until stray.
		s.pool.lost()
	}
	s.mu.Unlock()
	if late {
		go next.fail(event{what: ended, err: ErrTimeout, cost: limit})
	}
}

// exited ends a goroutine whose user function has called runtime.Goexit. Another one
// continues with the task, unless it was taken away before.
func (w *worker[T]) exited() {
	s := w.s
	var o orders[T]
	s.mu.Lock()
	if w.task == nil {
		s.pool.stray(&o)
		s.mu.Unlock()
		s.carryOut(&o, nil)
		return
	}
	next := w.succeed()
	s.mu.Unlock()
	next.asking = w.asking
	go next.fail(event{what: w.doing, err: stage.ErrGoexit})
}

// succeed returns a new worker that has taken over the task. The caller holds the
// lock.
func (w *worker[T]) succeed() *worker[T] {
	next := newWorker(w.s)
	next.task, w.task = w.task, nil
	return next
}

// fail is the goroutine of a worker that has taken over a task whose user function has not
// returned: e says which, and why. A Retryable that has not returned is not asked again.
func (w *worker[T]) fail(e event) {
	if e.what == ended && !w.asking {
		clean := false
		defer func() {
			if !clean {
				w.exited()
			}
		}()
		w.doing = ended
		w.decide(&e, w.task.attempt)
		clean = true
	}
	w.asking = false
	e.now, e.cancelled = w.s.clock(), w.s.ctx.Err() != nil
	w.run(e)
}
