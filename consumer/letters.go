package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// lettersTimeout bounds how long a stage that ends waits for its dead letters. It is less
// than the time that a pipeline gives a stopped stage.
const lettersTimeout = 4 * time.Second

// letters has the dead letters of a stage. It owns the goroutine of their writer. A nil
// pointer is a stage without a sink.
type letters[T any] struct {
	sink   deadletter.Sink
	encode func(T) ([]byte, error)
	stage  string
	writer atomic.Pointer[deadletter.Writer] // nil before the start; Snapshot reads it from other goroutines
}

// newLetters returns nil if sink is nil.
func newLetters[T any](sink deadletter.Sink, encode func(T) ([]byte, error)) *letters[T] {
	if sink == nil {
		return nil
	}
	return &letters[T]{sink: sink, encode: encode}
}

// checkSink refuses a sink that is an interface around nil.
func checkSink(owner option.Owner, sink deadletter.Sink) error {
	return owner.Optional("DeadLetters", sink, "a sink")
}

// start begins to write. The goroutine ends with close.
func (l *letters[T]) start(ctx context.Context, self *stage.Handle, m metrics.Recorder, log *slog.Logger) error {
	if l == nil {
		return nil
	}
	w, err := deadletter.NewWriter(l.sink, deadletter.WriterConfig{Stage: self.Name(), Metrics: m, Logger: log})
	if err != nil {
		return err
	}
	l.stage = self.Name()
	l.writer.Store(w)
	go func() { _ = w.Run(context.WithoutCancel(ctx)) }() // it logs what it could not store
	return nil
}

// send hands over the letter of an event. done is called when it is stored, on the writer's
// goroutine.
func (l *letters[T]) send(event T, err error, attempts int, first time.Time, done func()) {
	letter := deadletter.Of(event, l.encode)
	letter.Stage, letter.Error, letter.Attempts = l.stage, err.Error(), attempts
	letter.First, letter.Last = first, time.Now()
	l.writer.Load().Send(letter, done)
}

// close waits until all letters are stored, or up to limit. The error is one of a sink that
// does not heed its context.
func (l *letters[T]) close(limit time.Duration) error {
	if l == nil || l.writer.Load() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.writer.Load().Close(ctx); errors.Is(err, deadletter.ErrHung) {
		return errors.Join(stage.ErrHung, err)
	}
	return nil // what was left is logged
}

// snapshot returns nil without a sink, and before the start.
func (l *letters[T]) snapshot() *deadletter.WriterSnapshot {
	if l == nil || l.writer.Load() == nil {
		return nil
	}
	s := l.writer.Load().Snapshot()
	return &s
}

// stored is sent to the stage when there are letters whose events may have their receipt.
type stored struct{}

// buried holds the receipts of events until their letters are stored, for a consumer whose
// state belongs to its stage's goroutine. Such events are asked for again only then, so
// that MaxDemand bounds their number.
type buried[T any] struct {
	*letters[T] // nil: there is no sink
	self        *stage.Handle
	waiting     map[*stage.Subscription[T]]int // events without receipt; the stage's goroutine's

	mu    sync.Mutex
	ready []readyReceipt[T]
}

// readyReceipt is the receipt of an event whose letter is stored.
type readyReceipt[T any] struct {
	sub      *stage.Subscription[T]
	finished stage.Finished
}

// begin starts the writer.
func (b *buried[T]) begin(ctx context.Context, self *stage.Handle, m metrics.Recorder, log *slog.Logger) error {
	b.self, b.waiting = self, make(map[*stage.Subscription[T]]int)
	return b.start(ctx, self, m, log)
}

// bury hands over the letter of an event, which gets its receipt when that is stored.
func (b *buried[T]) bury(sub *stage.Subscription[T], receipt stage.Finished, event T, err error, attempts int, first time.Time) {
	b.waiting[sub]++
	b.send(event, err, attempts, first, func() {
		b.mu.Lock()
		b.ready = append(b.ready, readyReceipt[T]{sub, receipt})
		alone := len(b.ready) == 1
		b.mu.Unlock()
		if alone {
			b.self.Send(stored{})
		}
	})
}

// settle gives the receipts that are ready, and asks for as many events.
func (b *buried[T]) settle() {
	b.mu.Lock()
	ready := b.ready
	b.ready = nil
	b.mu.Unlock()
	for _, r := range ready {
		if b.waiting[r.sub]--; b.waiting[r.sub] == 0 {
			delete(b.waiting, r.sub)
		}
		r.sub.Settle(1, r.finished)
	}
}

// end ends the writer, and gives the receipts of the letters that it has stored.
func (b *buried[T]) end() error {
	if b.letters == nil {
		return nil
	}
	err := b.close(lettersTimeout)
	b.settle()
	return err
}
