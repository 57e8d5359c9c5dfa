package producer

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// DefaultPatience is the default of SeqConfig.Patience: how long the end of a
// stage waits for a reader that is in foreign code.
const DefaultPatience = time.Second

// feed connects a stage with a goroutine that reads from a source for which the
// stage must not wait. The reader reads only against demand: permit returns how
// many events it may read, put hands one over. The goroutine begins with the first
// demand and has ended when the stage has stopped.
type feed[T any] struct {
	read      func() error // the reader; nil is the normal end
	patience  time.Duration
	log       *slog.Logger
	discarded func(T, receipt.Reason)

	self     *stage.Handle
	ctx      context.Context // the reader's, cancelled when the reader must end
	cancel   context.CancelCauseFunc
	quitting chan struct{} // closed when the reader must end
	gone     chan struct{} // closed when it has ended

	mu    sync.Mutex
	more  sync.Cond    // there is demand, or the reader must end
	ready ring.Ring[T] // read and not emitted yet
	owed  int          // demand that was not emitted yet
	begun bool         // the goroutine was started
	woken bool         // HandleWake will be called
	quit  bool         // the reader must end
	over  bool         // nothing more is accepted from the reader
	left  bool         // the drain no longer waits for the reader
	err   error        // why it is over
	late  *time.Timer  // calls abandon when the reader has not returned in time
}

func newFeed[T any](patience time.Duration, log *slog.Logger, discarded func(T, receipt.Reason)) *feed[T] {
	if patience == 0 {
		patience = DefaultPatience
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &feed[T]{
		patience: patience, log: log, discarded: discarded,
		quitting: make(chan struct{}), gone: make(chan struct{}),
	}
	f.more.L = &f.mu
	return f
}

// run is the reader's goroutine.
func (f *feed[T]) run() {
	var err error
	returned := false
	defer func() {
		switch p := recover(); {
		case p != nil:
			err = &stage.PanicError{Value: p, Stack: debug.Stack()}
		case !returned:
			err = stage.ErrGoexit
		case err == nil:
			err = stage.ErrDone
		}
		f.end(err)
		close(f.gone)
	}()
	err = f.read()
	returned = true
}

// permit waits until something may be read and returns how many events, or 0 if
// the reader must end. The reader calls it.
func (f *feed[T]) permit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.owed <= f.ready.Len() && !f.quit {
		f.more.Wait()
	}
	if f.quit {
		return 0
	}
	return f.owed - f.ready.Len()
}

// put hands over one event, waits for demand for another one and returns true, or
// false if the reader must end. The reader calls it.
func (f *feed[T]) put(event T) bool {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		f.discard(event)
		return false
	}
	f.ready.Push(event)
	more := f.owed > f.ready.Len() && !f.quit
	f.wakeAndUnlock()
	return more || f.permit() > 0
}

// putAll hands over copies of events. The reader calls it.
func (f *feed[T]) putAll(events []T) {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		for _, event := range events {
			f.discard(event)
		}
		return
	}
	f.ready.PushAll(events)
	f.wakeAndUnlock()
}

// end records why the reader has ended.
func (f *feed[T]) end(err error) {
	f.mu.Lock()
	if !f.over {
		f.over, f.err = true, err
	}
	f.wakeAndUnlock()
}

func (f *feed[T]) wakeAndUnlock() {
	wake := !f.woken
	f.woken = true
	f.mu.Unlock()
	if wake {
		f.self.Wake()
	}
}

func (f *feed[T]) discard(event T) {
	if f.discarded != nil {
		f.discarded(event, receipt.Stopped)
	}
}

// take moves events that are owed and ready to the stage. The caller holds the
// lock.
func (f *feed[T]) take(emit *stage.Emitter[T]) error {
	emitted := false
	for f.owed > 0 && f.ready.Len() > 0 {
		emitted = true
		run := f.ready.Front()
		run = run[:min(len(run), f.owed)]
		emit.EmitAll(run)
		f.owed -= len(run)
		f.ready.Drop(len(run))
	}
	if !f.over || f.ready.Len() > 0 {
		return nil
	}
	if emitted && f.err != stage.ErrDone {
		// A failure ends the stage at once, so the events before it leave first.
		f.woken = true
		f.self.Wake()
		return nil
	}
	return f.err
}

// stopReading makes the reader end. The caller holds the lock.
func (f *feed[T]) stopReading() {
	if f.quit {
		return
	}
	f.quit = true
	close(f.quitting)
	f.more.Signal()
	if f.cancel != nil {
		f.cancel(stage.ErrStopped)
	}
}

// abandon ends a drain whose reader does not return.
func (f *feed[T]) abandon() {
	f.mu.Lock()
	if !f.over {
		f.over, f.left, f.err = true, true, stage.ErrDone
	}
	f.wakeAndUnlock()
}
