package stagetest

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// inbox holds what a handler has asked of its stage from any goroutine: with its handle,
// and with its subscription.
type inbox struct {
	signal chan struct{} // has an element if there may be something to take

	mu        sync.Mutex // guards the rest
	closed    bool
	woken     bool
	messages  []any
	finished  []stage.Finished
	asked     int   // events asked for with the subscription
	cancelled error // with which the subscription was cancelled
	every     time.Duration
	due       time.Time // the next tick, if every is set
	wakeAt    time.Time // zero if none was asked for
}

func newInbox() *inbox { return &inbox{signal: make(chan struct{}, 1)} }

// change makes a change and signals it.
func (b *inbox) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *inbox) wake() { b.change(func() { b.woken = !b.closed }) }

// send takes a message unless the handler has ended. Nothing is buffered in a test, so
// that there is nothing for a message to wait behind.
func (b *inbox) send(msg any, _ bool) (ok bool) {
	b.change(func() {
		if ok = !b.closed; ok {
			b.messages = append(b.messages, msg)
		}
	})
	return ok
}

// tick sets the interval of ticks.
func (b *inbox) tick(every time.Duration) {
	b.change(func() { b.every, b.due = max(0, every), time.Now().Add(every) })
}

// wakeLater sets the time of a wake.
func (b *inbox) wakeLater(t time.Time) { b.change(func() { b.wakeAt = t }) }

// close ends everything but receipts.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.every, b.wakeAt = 0, time.Time{}
}

// probe returns the producer of a subscription, which puts everything into the inbox.
func (b *inbox) probe() stage.SubscriptionProbe {
	return stage.SubscriptionProbe{
		Asked:     func(n int) { b.change(func() { b.asked += n }) },
		Settled:   func(f []stage.Finished) { b.change(func() { b.finished = append(b.finished, f...) }) },
		Cancelled: func(reason error) { b.change(func() { b.cancelled = reason }) },
	}
}

// askedFor returns how many events the handler has asked for with its subscription.
func (b *inbox) askedFor() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// cause returns the reason with which the handler has cancelled its subscription, nil
// if it has not.
func (b *inbox) cause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cancelled
}

// errand is one thing that was asked of the stage, or receipts.
type errand struct {
	wake     bool
	tick     bool
	info     bool
	message  any
	finished []stage.Finished
}

// take returns the next errand at now, receipts first.
func (b *inbox) take(now time.Time) (e errand, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.wakeAt.IsZero() && !now.Before(b.wakeAt) {
		b.woken, b.wakeAt = true, time.Time{}
	}
	switch {
	case len(b.finished) > 0:
		e.finished, b.finished = b.finished, nil
	case len(b.messages) > 0:
		e.info, e.message = true, b.messages[0]
		b.messages = b.messages[1:]
	case b.woken:
		e.wake, b.woken = true, false
	case b.every > 0 && !now.Before(b.due):
		// Ticks that were missed are left out, as in a stage.
		e.tick = true
		b.due = b.due.Add((now.Sub(b.due)/b.every + 1) * b.every)
	default:
		return e, false
	}
	return e, true
}

// next returns the time of the next errand that is known, or the zero time.
func (b *inbox) next() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.every > 0 && (b.wakeAt.IsZero() || b.due.Before(b.wakeAt)) {
		return b.due
	}
	return b.wakeAt
}

// await waits for the next errand.
func (b *inbox) await(ctx context.Context) (errand, error) {
	for {
		if e, ok := b.take(time.Now()); ok {
			return e, nil
		}
		var due <-chan time.Time
		if at := b.next(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-b.signal:
		case <-due:
		case <-ctx.Done():
			return errand{}, context.Cause(ctx)
		}
	}
}

// receipts takes the receipts alone.
func (b *inbox) receipts() (finished []stage.Finished) {
	b.mu.Lock()
	defer b.mu.Unlock()
	finished, b.finished = b.finished, nil
	return finished
}
