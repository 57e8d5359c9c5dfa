// Package feed stands between a stage and the goroutine that reads what the
// stage must not wait for: an iterator, a channel, foreign code.
//
// The goroutine reads only against demand. It begins with the first demand and
// has ended when the stage has stopped, unless the foreign code does not return.
package feed

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// DefaultPatience is the default of Config.Patience.
const DefaultPatience = time.Second

// Config configures a feed.
type Config[T any] struct {
	// Patience bounds how long the end waits for a reader in foreign code.
	// Default: DefaultPatience.
	Patience time.Duration
	// Discarded, if set, is called with receipt.Stopped for each event that was
	// read and not emitted before the stage stopped. It runs on the stage's
	// goroutine, and on the reader's for events that come after the end.
	Discarded func(T, receipt.Reason)
}

// Stage is a feed as its stage sees it. It implements stage.Producer and the
// optional interfaces that a source needs.
type Stage[T any] struct{ feed[T] }

// Reader is a feed as the goroutine that reads sees it.
type Reader[T any] struct{ f *feed[T] }

// feed is the state that the two share. read, patience and discarded never change;
// self, ctx and cancel are set by HandleStart, before the reader's goroutine
// exists.
type feed[T any] struct {
	read      func(*Reader[T]) error // returns nil for the normal end
	patience  time.Duration
	discarded func(T, receipt.Reason)

	self     *stage.Handle
	ctx      context.Context // the reader's, cancelled when it must end
	cancel   context.CancelCauseFunc
	quitting chan struct{} // closed when the reader must end
	gone     chan struct{} // closed when it has ended

	emit *stage.Emitter[T] // used on the stage's goroutine; nil before the first demand

	mu    sync.Mutex   // guards what follows
	more  sync.Cond    // there is demand, or the reader must end
	ready ring.Ring[T] // read and not emitted yet
	owed  int          // demand that was not emitted yet
	begun bool         // the goroutine was started
	woken bool         // HandleWake will be called
	quit  bool         // the reader must end
	over  bool         // nothing more is taken from the reader
	ended bool         // the stage does not discard what comes either
	left  bool         // the drain has stopped waiting for the reader
	err   error        // why it is over
	late  *time.Timer  // ends the drain's wait for the reader
}

// New makes a feed. read runs in the reader's goroutine, once; its error stops the
// stage after the events before it, and nil ends the source normally.
func New[T any](cfg Config[T], read func(*Reader[T]) error) *Stage[T] {
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	s := &Stage[T]{feed[T]{
		read: read, patience: cfg.Patience, discarded: cfg.Discarded,
		quitting: make(chan struct{}), gone: make(chan struct{}),
	}}
	s.more.L = &s.mu
	return s
}

// run is the reader's goroutine. A panic and runtime.Goexit of foreign code are
// errors like others: without them the stage would wait forever.
func (f *feed[T]) run() {
	var err error
	returned := false
	defer func() {
		// returned is false after runtime.Goexit, for which recover returns nil.
		switch p := recover(); {
		case p != nil:
			err = crash.Of(p)
		case !returned:
			err = stage.ErrGoexit
		case err == nil:
			err = stage.ErrDone
		}
		f.end(err)
		close(f.gone)
	}()
	err = f.read(&Reader[T]{f})
	returned = true
}

// end records why the reader has ended, unless the stage has ended before.
func (f *feed[T]) end(err error) {
	f.mu.Lock()
	if !f.over {
		f.over, f.err = true, err
	}
	f.wakeAndUnlock()
}

// wakeAndUnlock has HandleWake called once for all that has come since the last
// one. The caller holds the lock; Wake is called without it.
func (f *feed[T]) wakeAndUnlock() {
	wake := !f.woken
	f.woken = true
	f.mu.Unlock()
	if wake {
		f.self.Wake()
	}
}

// discard reports an event that was read and will not be emitted. The caller does
// not hold the lock, since Discarded is foreign code.
func (f *feed[T]) discard(event T) {
	if f.discarded != nil {
		f.discarded(event, receipt.Stopped)
	}
}

// report is discard that returns a panic as an error: the other events are reported all
// the same.
func (f *feed[T]) report(event T) (err error) {
	defer crash.Catch(&err)
	f.discard(event)
	return nil
}

// take moves events that are owed and ready to the stage, and returns why the
// stage is to end once all are emitted. It runs on the stage's goroutine; the
// caller holds the lock.
func (f *feed[T]) take(emit *stage.Emitter[T]) error {
	emitted := false
	for f.owed > 0 && f.ready.Len() > 0 {
		emitted = true
		run := f.ready.Front()
		// EmitAll copies: the ring's places are free again after it.
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

// stopReading makes the reader end: it wakes Permit, closes quitting, and cancels
// the context of foreign code. It does not wait. The caller holds the lock.
func (f *feed[T]) stopReading() {
	if f.quit {
		return
	}
	// Each of the three wakes a reader that waits in another way.
	f.quit = true
	close(f.quitting)
	f.more.Signal()
	if f.cancel != nil {
		f.cancel(stage.ErrStopped)
	}
}

// abandon ends the drain's wait for a reader that does not return. It runs on a
// timer's goroutine. The stage ends normally then, and HandleTerminate reports the
// reader as hung.
func (f *feed[T]) abandon() {
	f.mu.Lock()
	if !f.over {
		f.over, f.left, f.err = true, true, stage.ErrDone
	}
	f.wakeAndUnlock()
}
