package stage

import (
	"context"
	"fmt"
)

// Name implements Stage.
func (e *engine[In, Out]) Name() string { return e.name }

// Start implements Stage.
func (e *engine[In, Out]) Start(ctx context.Context) error {
	e.mu.Lock()
	invalid := e.invalid
	e.mu.Unlock()
	if invalid != nil {
		e.neverRun(invalid)
		return invalid
	}
	if !e.started.CompareAndSwap(false, true) {
		select {
		case <-e.stopped:
			return fmt.Errorf("stage %q: start: %w", e.name, ErrStopped)
		default:
			return fmt.Errorf("stage %q: start: %w", e.name, ErrStarted)
		}
	}
	release := context.AfterFunc(ctx, func() {
		e.Stop(&stopError{context.Cause(ctx)})
	})
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e.mu.Lock()
	e.ctx = inner
	e.cancel = func(cause error) {
		release()
		cancel(cause)
	}
	begun := e.killed == nil
	e.mu.Unlock()
	if !begun {
		e.Stop(e.killed)
	}
	go e.run()
	if <-e.ready; e.up {
		return nil
	}
	return e.err
}

// Drain implements Stage.
func (e *engine[In, Out]) Drain() { e.box.Post(mail[In, Out]{kind: mailDrain}) }

// Stop implements Stage.
func (e *engine[In, Out]) Stop(reason error) {
	if reason == nil {
		reason = ErrStopped
	}
	if e.neverRun(reason) {
		return
	}
	e.mu.Lock()
	cancel := e.cancel
	if cancel == nil {
		e.killed = reason
	}
	e.mu.Unlock()
	if cancel == nil {
		return
	}
	e.box.Post(mail[In, Out]{kind: mailStop, x: reason})
	cancel(reason)
}

// neverRun ends a stage that was not started, so that those who wait for it are
// told; false if it was.
func (e *engine[In, Out]) neverRun(reason error) bool {
	if !e.started.CompareAndSwap(false, true) {
		return false
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	e.mu.Lock()
	e.ctx, e.cancel = ctx, cancel
	e.mu.Unlock()
	e.end, e.reason = true, reason
	e.finish(nil, true)
	return true
}

// Stopped implements Stage.
func (e *engine[In, Out]) Stopped() <-chan struct{} { return e.stopped }

// Err implements Stage.
func (e *engine[In, Out]) Err() error {
	select {
	case <-e.stopped:
		return e.err
	default:
		return nil
	}
}

// Do implements Stage.
func (e *engine[In, Out]) Do(f func()) bool {
	return e.box.Post(mail[In, Out]{kind: mailDo, x: f})
}
