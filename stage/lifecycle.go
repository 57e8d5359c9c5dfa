package stage

import (
	"context"
	"fmt"
	"runtime/pprof"
)

// Name implements Stage.
func (e *engine[In, Out]) Name() string { return e.name }

// Start implements Stage. Of several calls, and of a pipeline's, only the first one can
// claim the stage.
func (e *engine[In, Out]) Start(ctx context.Context) error {
	if err := ownerOf(e.name).Needs("ctx", ctx, "a context"); err != nil {
		return err
	}
	if err := e.refused(); err != nil {
		return err
	}
	if err := e.node.checkCycle(); err != nil {
		return fmt.Errorf("stage %q: start: %w", e.name, err)
	}
	if !e.node.claim() {
		return e.startedBefore()
	}
	return e.launch(ctx)
}

// refused returns the error of a Subscribe that was refused before the start, and ends the
// stage for it. It may be called from any goroutine.
func (e *engine[In, Out]) refused() error {
	e.mu.Lock()
	refused := e.rejected
	e.mu.Unlock()
	if refused != nil {
		e.neverRun(refused)
	}
	return refused
}

// startedBefore returns the error of a Start that came too late.
func (e *engine[In, Out]) startedBefore() error {
	reason := ErrStarted
	if hasStopped(e.stopped) {
		reason = ErrStopped
	}
	return fmt.Errorf("stage %q: start: %w", e.name, reason)
}

// launch starts a stage that the caller has claimed, and returns when HandleStart has
// returned or failed. The context of the handlers has the values of ctx but not its end:
// when ctx is done, Stop cancels it with a cause.
func (e *engine[In, Out]) launch(ctx context.Context) error {
	if err := e.refused(); err != nil {
		return err
	}
	if err := e.occupy(); err != nil {
		e.neverRun(err)
		return err
	}
	if !e.started.CompareAndSwap(false, true) {
		e.vacate()
		return fmt.Errorf("stage %q: start: %w", e.name, ErrStopped) // before its turn came
	}
	e.start = occupying
	// release is part of cancel: a stage that has ended does not stay referenced by ctx.
	release := context.AfterFunc(ctx, func() {
		e.Stop(&stopError{context.Cause(ctx)})
	})
	inner, cancel := context.WithCancelCause(pprof.WithLabels(context.WithoutCancel(ctx), pprof.Labels("stage", e.name)))
	e.mu.Lock()
	e.ctx = inner
	e.cancel = func(cause error) {
		release()
		cancel(cause)
	}
	// A Stop that came before cancel was set has left its reason in killed.
	begun := e.killed == nil
	e.mu.Unlock()
	if !begun {
		e.Stop(e.killed)
	}
	go e.run()
	// Closing ready makes what the goroutine wrote to e.start, and to e.err, visible here.
	if <-e.ready; e.start == ready {
		return nil
	}
	return e.err
}

// Drain implements Stage.
func (e *engine[In, Out]) Drain() { e.drainWithin(nil) }

// drainWithin drains the stage together with members, which may be nil. It posts mail, and
// so does nothing once the stage has stopped.
func (e *engine[In, Out]) drainWithin(members map[*node]bool) {
	e.box.Post(mail[In, Out]{kind: mailDrain, x: members})
}

// handledFailure says that the program has handled the failure of a stage.
func (e *engine[In, Out]) handledFailure(of *node) {
	e.box.Post(mail[In, Out]{kind: mailHandled, x: of})
}

// Stop implements Stage. The mail is posted before the context is cancelled: a handler
// that returns because of the cancellation then finds the reason waiting.
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

// neverRun ends a stage that was not started, so that its subscribers receive the reason.
// It runs the last steps on the caller's goroutine, which owns the stage from the moment
// started is set. It returns false if the stage was started.
func (e *engine[In, Out]) neverRun(reason error) bool {
	if !e.started.CompareAndSwap(false, true) {
		return false
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	e.mu.Lock()
	e.ctx, e.cancel = ctx, cancel
	e.mu.Unlock()
	e.reach(over)
	e.reason = reason
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
