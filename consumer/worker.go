package consumer

import (
	"context"
	"fmt"
	"runtime"
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
	tries    uint64 // attempts that this goroutine has begun
	trying   bool   // an attempt is under way
	deferred bool   // the job's receipt is in the worker's own hands
	lost     bool   // the job was taken away: the goroutine is none of the pool's any more
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

// run is the goroutine of a worker that was woken for a job.
func (w *worker[T]) run() {
	w.s.mu.Lock()
	w.s.waking--
	w.serve()
}

// serve takes jobs until the supervisor stops, or until a job takes the
// goroutine with it. It begins with the supervisor's lock and ends without.
func (w *worker[T]) serve() {
	s := w.s
	for !s.stopping {
		switch s.jobs.Len() {
		case 0:
			s.idle = append(s.idle, w)
			s.mu.Unlock()
			_, woken := <-w.wake
			s.mu.Lock()
			if woken { // otherwise the supervisor stops
				s.waking--
			}
			continue
		case 1:
			// What was left to whoever comes by next must not wait for the end
			// of the last job.
			if s.settleAll() {
				w.yield()
				continue // the lock was given up
			}
		}
		w.job = s.jobs.Pop()
		w.job.attempt = 1
		w.begin()
		s.busy++
		woke := s.wake()
		if !w.attempts(woke) {
			return // the goroutine was replaced meanwhile
		}
	}
	w.end()
}

// yield lets the stage go first that this goroutine has just told something, if
// jobs are slow: the scheduler keeps the goroutine that was woken last for the
// processor that has woken it and lets others take it away only after a pause,
// even if they are idle, so that the stage would wait for the whole of the next
// job and the other processors with it. The caller holds the lock, which is given
// up meanwhile.
func (w *worker[T]) yield() {
	s := w.s
	if !s.slow {
		return
	}
	s.waking++ // it comes back for a job
	s.mu.Unlock()
	runtime.Gosched()
	s.mu.Lock()
	s.waking--
}

// begin notes the beginning of an attempt. The caller holds the lock.
func (w *worker[T]) begin() {
	w.tries++
	w.trying = true
}

// attempts runs the job until it has ended for good, and notes how long it took
// if timed says so or somebody wants to know. It begins without the supervisor's
// lock and answers true holding it, or false without it if this goroutine is not
// a worker of the pool any more.
func (w *worker[T]) attempts(timed bool) bool {
	s := w.s
	measured := timed || w.job.account.measured
	for {
		var cost time.Duration
		if measured {
			cost = -s.clock()
		}
		err := w.once()
		if measured {
			cost += s.clock()
			s.timer.Observe(cost)
		}
		s.mu.Lock()
		if measured {
			s.slow = cost > slowJob
		}
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
// caller holds the lock, which is given up meanwhile.
func (w *worker[T]) conclude(err error, cost time.Duration) bool {
	s := w.s
	if err != nil {
		var again, finished bool
		if again, finished, err = w.failure(err); again {
			w.begin()
			return false
		}
		if !finished {
			w.release()
			return true
		}
	}
	a := w.job.account
	a.freed++
	if !w.deferred {
		a.receipt(stage.Finished{Position: w.job.position, Err: err, Cost: cost})
	}
	w.release()
	s.settle(a, false)
	return true
}

// failure decides what follows from an attempt's error: another attempt, or a
// receipt with the error answered, or neither, in which case the event is given
// back or abandoned with the stage. The caller holds the lock, which is given up
// meanwhile.
func (w *worker[T]) failure(err error) (again, finished bool, receipt error) {
	s := w.s
	if discarded(err) {
		return false, true, err
	}
	if s.ctx.Err() != nil {
		// The worker may have given up since the stage is being stopped: the
		// source must not take its event for finished.
		return false, false, nil
	}
	failed := &WorkerError{Stage: s.name, Attempt: w.job.attempt, Err: err}
	again = s.cfg.Restart == Transient && !w.deferred &&
		(s.cfg.MaxAttempts == 0 || w.job.attempt < s.cfg.MaxAttempts)
	if again && !s.mayRestart(s.clock()) {
		s.self.Send(halt{fmt.Errorf("%w: %w", ErrTooManyRestarts, failed)})
		return false, false, nil
	}
	w.job.attempt++
	event, told := w.job.event, again || w.deferred
	s.mu.Unlock()
	s.cfg.Logger.Warn("worker failed", "stage", s.name, "attempt", failed.Attempt, "again", again, "error", err)
	if !told && s.cfg.Failed != nil {
		w.report(event, failed)
	}
	s.mu.Lock()
	return again, true, failed
}

// report calls Failed, and stops the stage if that does not return.
func (w *worker[T]) report(event T, failed error) {
	s := w.s
	returned := false
	defer func() {
		if p := recover(); p != nil {
			s.self.Send(halt{fmt.Errorf("option Failed: %w", &stage.PanicError{Value: p, Stack: debug.Stack()})})
			return
		}
		if !returned {
			s.self.Send(halt{fmt.Errorf("option Failed: %w", stage.ErrGoexit)})
			s.mu.Lock()
			w.release()
			w.end()
		}
	}()
	s.cfg.Failed(event, failed)
	returned = true
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
