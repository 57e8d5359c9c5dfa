package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// once runs the worker's function and contains whatever it does.
func (w *worker[T]) once() (err error) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			err = &stage.PanicError{Value: p, Stack: debug.Stack()}
			return
		}
		if !returned {
			w.lose(w.tries, stage.ErrGoexit, 0)
		}
	}()
	if w.s.cfg.Timeout > 0 {
		err = w.limited(w.s.cfg.Timeout)
	} else {
		err = w.s.work(&w.ctx, w.job.event)
	}
	returned = true
	return err
}

// limited is once with a timeout. The job of a worker that does not return in
// time after its context was cancelled is taken away from it.
func (w *worker[T]) limited(timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(&w.ctx, timeout, ErrTimeout)
	defer cancel()
	try, limit := w.tries, timeout+timeout/10
	hung := time.AfterFunc(limit, func() { w.lose(try, ErrTimeout, limit) })
	defer hung.Stop()
	err := w.s.work(ctx, w.job.event)
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == ErrTimeout {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}

// lose continues the job in a goroutine of its own, as if the attempt with the
// number try had ended with err, unless it has ended already.
func (w *worker[T]) lose(try uint64, err error, cost time.Duration) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.lost || !w.trying || w.tries != try {
		return
	}
	w.lost = true
	next := newWorker(s)
	next.job, next.deferred = w.job, w.deferred
	go next.resume(err, cost)
}

// resume is the goroutine of a worker that continues the job of another, whose
// attempt has ended with err.
func (w *worker[T]) resume(err error, cost time.Duration) {
	w.s.mu.Lock()
	if !w.conclude(err, cost) {
		w.s.mu.Unlock()
		if !w.attempts(false) {
			return
		}
	}
	w.serve()
}
