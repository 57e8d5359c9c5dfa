package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// worker is a goroutine that runs one job after the other.
type worker[T any] struct {
	s    *Supervisor[T]
	wake chan struct{}
	ctx  workerContext[T]

	// Guarded by s.mu.
	job      job[T]
	trying   bool // an attempt is under way
	deferred bool // the job's receipt is in the worker's own hands
	lost     bool // the job was taken away after its timeout
}

// workerContext is the context of all jobs of a worker, by which Defer finds
// the one that runs.
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

func newWorker[T any](s *Supervisor[T]) *worker[T] {
	w := &worker[T]{s: s, wake: make(chan struct{}, 1)}
	w.ctx = workerContext[T]{Context: s.ctx, worker: w}
	return w
}

func (w *worker[T]) start() { go w.run() }

// run takes jobs until the supervisor stops, or until a job takes the
// goroutine with it.
func (w *worker[T]) run() {
	s := w.s
	s.mu.Lock()
	s.waking = false
	for {
		if s.jobs.Len() == 0 || s.stopping {
			if s.stopping {
				w.end()
				return
			}
			s.idle = append(s.idle, w)
			s.mu.Unlock()
			<-w.wake
			s.mu.Lock()
			s.waking = false
			continue
		}
		w.job = s.jobs.Pop()
		w.job.attempt, w.trying = 1, true
		s.busy++
		s.wakeOne()
		if !w.attempts() {
			return // the goroutine was replaced meanwhile
		}
	}
}

// attempts runs the job until it has ended for good. It begins without the
// supervisor's lock and answers true holding it, or false if this goroutine is
// not a worker of the pool any more.
func (w *worker[T]) attempts() bool {
	s := w.s
	for {
		var begun time.Time
		var cost time.Duration
		if w.job.account.measured {
			begun = time.Now()
		}
		err := w.once()
		if w.job.account.measured {
			cost = time.Since(begun)
			s.timer.Observe(cost)
		}
		s.mu.Lock()
		if w.lost {
			s.mu.Unlock()
			return false
		}
		w.trying = false
		if w.conclude(err, cost) {
			return true
		}
		s.mu.Unlock()
	}
}

// conclude books the end of an attempt and says whether it was the last. The
// caller holds the lock.
func (w *worker[T]) conclude(err error, cost time.Duration) bool {
	s, j := w.s, &w.job
	var discard *stage.DiscardError
	if err != nil && s.ctx.Err() != nil {
		// The worker gave up since the stage is being stopped. Its event has no
		// receipt, so that the source does not take it for finished.
		w.release()
		return true
	}
	if err != nil && !errors.As(err, &discard) {
		failure := &WorkerError{Stage: s.name, Attempt: j.attempt, Err: err}
		again := s.cfg.Restart == Transient && !w.deferred &&
			(s.cfg.MaxAttempts == 0 || j.attempt < s.cfg.MaxAttempts)
		event := j.event
		s.mu.Unlock()
		s.cfg.Logger.Warn("worker failed", "stage", s.name, "attempt", j.attempt, "again", again, "error", err)
		if !again && s.cfg.Failed != nil {
			s.cfg.Failed(event, failure)
		}
		s.mu.Lock()
		if again {
			if s.mayRestart(time.Now()) {
				j.attempt++
				w.trying = true
				return false
			}
			if s.self.Send(fmt.Errorf("%w: %w", ErrTooManyRestarts, failure)) {
				// The event has no receipt: it is given back or abandoned with
				// the stage.
				w.release()
				return true
			}
		}
		err = failure
	}
	s.finish(j, stage.Finished{Position: j.position, Err: err, Cost: cost}, w.deferred)
	a := j.account
	w.release()
	s.settle(a)
	return true
}

// release forgets the job. The caller holds the lock.
func (w *worker[T]) release() {
	w.s.busy--
	w.job = job[T]{}
	w.deferred = false
}

// end leaves the pool and unlocks.
func (w *worker[T]) end() {
	s := w.s
	s.running--
	if s.running == 0 && s.stopping {
		close(s.quiet)
	}
	s.mu.Unlock()
}

// once runs the worker's function and contains whatever it does.
func (w *worker[T]) once() (err error) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			err = &stage.PanicError{Value: p, Stack: debug.Stack()}
			return
		}
		if !returned {
			w.replace()
		}
	}()
	ctx := context.Context(&w.ctx)
	if w.s.cfg.Timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, w.s.cfg.Timeout, ErrTimeout)
		defer cancel()
		stop := context.AfterFunc(limited, func() { w.expired(limited) })
		defer stop()
		ctx = limited
	}
	err = w.s.work(ctx, w.job.event)
	returned = true
	if err != nil && context.Cause(ctx) == ErrTimeout && errors.Is(err, context.DeadlineExceeded) {
		err = ErrTimeout
	}
	return err
}

// replace hands the job on to a new goroutine: this one is being ended by
// runtime.Goexit.
func (w *worker[T]) replace() {
	s := w.s
	s.mu.Lock()
	if w.lost {
		s.mu.Unlock()
		return
	}
	w.lost = true
	w.takeOver(stage.ErrGoexit)
}

// expired takes the job away from a worker that does not return in time after
// its context was cancelled.
func (w *worker[T]) expired(ctx context.Context) {
	if context.Cause(ctx) != ErrTimeout {
		return
	}
	attempt := w.attemptNow()
	grace := time.NewTimer(w.s.cfg.Timeout / 10)
	defer grace.Stop()
	<-grace.C
	s := w.s
	s.mu.Lock()
	if w.lost || !w.trying || w.job.account != attempt.account || w.job.position != attempt.position || w.job.attempt != attempt.attempt {
		s.mu.Unlock()
		return
	}
	w.lost = true
	w.takeOver(ErrTimeout)
}

func (w *worker[T]) attemptNow() job[T] {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.job
}

// takeOver continues the job of w, whose attempt ended with err, in a goroutine
// of its own, and unlocks.
func (w *worker[T]) takeOver(err error) {
	s := w.s
	next := newWorker(s)
	next.job, next.deferred = w.job, w.deferred
	s.mu.Unlock()
	go func() {
		s.mu.Lock()
		if !next.conclude(err, 0) {
			s.mu.Unlock()
			if !next.attempts() {
				return
			}
		}
		s.mu.Unlock()
		next.run()
	}()
}
