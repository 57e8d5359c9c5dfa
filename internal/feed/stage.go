package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// HandleStart implements stage.StartHandler. The reader's context is derived from
// the stage's. No goroutine is started before there is demand.
func (f *Stage[T]) HandleStart(ctx context.Context, self *stage.Handle) error {
	f.self = self
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	return nil
}

// HandleDemand implements stage.Producer. It emits what is ready, and starts the
// reader with the first demand.
func (f *Stage[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed += n
	f.emit = emit
	// A feed that drains starts no reader any more.
	if f.begun || f.quit {
		f.more.Signal()
	} else {
		f.begun = true
		go f.run()
	}
	return f.take(emit)
}

// HandleWake implements stage.WakeHandler. woken is cleared first, so events that
// come during take wake it again.
func (f *Stage[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = false
	return f.take(emit)
}

// HandleDrain implements stage.DrainHandler: what was read already is emitted, and
// nothing more is read. A reader in foreign code is waited for, for Patience,
// since it may hold an event that it has just read.
func (f *Stage[T]) HandleDrain(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopReading()
	if !f.begun {
		f.over, f.err = true, stage.ErrDone
	}
	if !f.over {
		f.late = time.AfterFunc(f.patience, f.abandon)
		return nil
	}
	if f.ready.Len() == 0 {
		return f.err
	}
	return nil
}

// HandleTerminate implements stage.TerminateHandler: it waits for the reader, and emits
// what was read and not emitted, which the stage discards and counts as stopped. It
// returns stage.ErrHung for a reader that does not return in time.
func (f *Stage[T]) HandleTerminate(context.Context, error) error {
	if f.cancel == nil {
		return nil // it never started
	}
	f.mu.Lock()
	f.stopReading()
	f.over = true
	if f.late != nil {
		f.late.Stop()
	}
	begun, left := f.begun, f.left
	f.mu.Unlock()
	err := error(nil)
	if begun && !f.returned(left) {
		err = fmt.Errorf("source did not return within %v: %w", f.patience, stage.ErrHung)
	}
	// Taken under the lock, discarded without it: Discarded is foreign code.
	f.mu.Lock()
	rest := f.ready
	f.ready, f.ended = ring.Ring[T]{}, true
	f.mu.Unlock()
	for rest.Len() > 0 {
		event := rest.Pop()
		f.emit.Emit(event) // there was demand, so that there is an emitter
		if panicked := f.report(event); err == nil {
			err = panicked
		}
	}
	return err
}

// returned waits for the reader, which has begun, and reports whether it has returned. The
// stage's goroutine waits here, so it never does for longer than Patience in all: left
// reports that the drain has waited already.
func (f *feed[T]) returned(left bool) bool {
	limit := f.patience
	if left {
		limit = 0
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-f.gone:
		return true
	case <-timer.C:
	}
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}
