package producer

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// start is the common part of the sources' HandleStart.
func (f *feed[T]) start(ctx context.Context, self *stage.Handle) {
	f.self = self
	f.ctx, f.cancel = context.WithCancelCause(ctx)
}

// HandleDemand implements stage.Producer.
func (f *feed[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed += n
	if f.begun || f.quit {
		f.more.Signal()
	} else {
		f.begun = true
		go f.run()
	}
	return f.take(emit)
}

// HandleWake implements stage.WakeHandler.
func (f *feed[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = false
	return f.take(emit)
}

// HandleDrain implements stage.DrainHandler: the events read so far are emitted,
// and nothing more is read.
func (f *feed[T]) HandleDrain(context.Context) error {
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

// HandleTerminate implements stage.TerminateHandler: it discards the events that
// were read and not emitted, and waits for the reader. If the reader does not return
// in time, HandleTerminate returns stage.ErrHung.
func (f *feed[T]) HandleTerminate(context.Context, error) error {
	if f.cancel == nil {
		return nil // it never started
	}
	f.mu.Lock()
	f.stopReading()
	f.over = true
	if f.late != nil {
		f.late.Stop()
	}
	rest := f.ready
	f.ready = ring.Ring[T]{}
	begun, left := f.begun, f.left
	f.mu.Unlock()
	for rest.Len() > 0 {
		f.discard(rest.Pop())
	}
	if !begun {
		return nil
	}
	limit := f.patience
	if left {
		limit = 0 // the drain has waited already
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-f.gone:
		return nil
	case <-timer.C:
	}
	select {
	case <-f.gone:
		return nil
	default:
		return fmt.Errorf("source did not return within %v: %w", f.patience, stage.ErrHung)
	}
}
