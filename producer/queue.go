package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// The errors of a queue; test for them with errors.Is.
var (
	// ErrFull answers a push for which there was no room.
	ErrFull = errors.New("queue is full")
	// ErrClosed answers a push after the queue was closed, drained or stopped.
	ErrClosed = errors.New("queue is closed")
)

// DefaultCapacity is how many events a queue holds if it was not told.
const DefaultCapacity = 10_000

// Overflow says what a queue does with a push for which there is no room.
type Overflow uint8

const (
	// Refuse makes Push wait and TryPush answer ErrFull. It is the default.
	Refuse Overflow = iota
	// DropOldest makes room by discarding the oldest event.
	DropOldest
	// DropNewest discards the event that was to be pushed.
	DropNewest
)

// QueueConfig configures [NewQueue]. The zero value is useful.
type QueueConfig[T any] struct {
	// Capacity bounds how many events wait in the queue, 1 or more. Default:
	// 10,000.
	Capacity int
	// Overflow says what happens when the queue is full. Default: Refuse.
	Overflow Overflow
	// Stamp, if set, is called in the pushing goroutine with the time at which
	// the push began, before it can wait for anything.
	Stamp func(event *T, at time.Time)
	// Discarded, if set, is called in the pushing goroutine for every event
	// that is dropped. It must not block or push.
	Discarded func(event T, reason dispatcher.Reason)
}

// Queue is a bounded queue into which any goroutine pushes and which a stage
// empties on demand. It implements stage.Producer. Events leave in the order in
// which they were pushed; goroutines that wait for room get it in the order in
// which they came.
type Queue[T any] struct {
	cfg     QueueConfig[T]
	invalid error

	mu        sync.Mutex
	events    ring.Ring[T]
	waiters   ring.Ring[*waiter]
	promised  int // room kept for waiters that were told to go on
	owed      int // demand that is not served yet
	woken     bool
	closed    bool
	self      *stage.Handle
	discarded int64
	pushed    int64
}

// waiter is a push that waits for room.
type waiter struct {
	ready chan struct{} // closed when room was kept for it, or the queue closed
	given bool          // room was kept
	left  bool          // it has given up
}

// NewQueue makes a queue. A wrong option is reported when its stage is started
// and by every push.
func NewQueue[T any](cfg QueueConfig[T]) *Queue[T] {
	q := &Queue[T]{cfg: cfg}
	if cfg.Capacity == 0 {
		q.cfg.Capacity = DefaultCapacity
	}
	if q.cfg.Capacity < 0 {
		q.invalid = &stage.OptionError{Stage: "queue", Option: "Capacity", Value: cfg.Capacity, Allowed: "1 or more, or 0 for the default"}
	}
	if cfg.Overflow > DropNewest {
		q.invalid = &stage.OptionError{Stage: "queue", Option: "Overflow", Value: cfg.Overflow, Allowed: "Refuse, DropOldest or DropNewest"}
	}
	return q
}

// Push appends an event. With Refuse it waits for room until ctx is done, and
// then answers an error that wraps ErrFull and the context's cause. It answers
// ErrClosed when the queue takes nothing more. When an event was pushed nil is
// answered even if ctx is done by then.
func (q *Queue[T]) Push(ctx context.Context, event T) error {
	if q.cfg.Stamp != nil {
		q.cfg.Stamp(&event, time.Now())
	}
	q.mu.Lock()
	if err := q.refusal(); err != nil {
		q.mu.Unlock()
		return err
	}
	if q.waiters.Len() == 0 && q.hasRoom() {
		q.put(event)
		return nil
	}
	if q.cfg.Overflow != Refuse {
		q.drop(event)
		return nil
	}
	w := &waiter{ready: make(chan struct{})}
	q.waiters.Push(w)
	q.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	q.mu.Lock()
	if w.given {
		q.promised--
	}
	switch {
	case w.given: // also after a close that came in between: room was promised
		q.put(event)
		return nil
	case q.closed:
		q.mu.Unlock()
		return ErrClosed
	}
	w.left = true
	q.mu.Unlock()
	return fmt.Errorf("push: %w: %w", ErrFull, context.Cause(ctx))
}

// TryPush appends an event without ever waiting. With Refuse it answers ErrFull
// when there is no room.
func (q *Queue[T]) TryPush(event T) error {
	if q.cfg.Stamp != nil {
		q.cfg.Stamp(&event, time.Now())
	}
	q.mu.Lock()
	if err := q.refusal(); err != nil {
		q.mu.Unlock()
		return err
	}
	if q.waiters.Len() == 0 && q.hasRoom() {
		q.put(event)
		return nil
	}
	if q.cfg.Overflow == Refuse {
		q.mu.Unlock()
		return ErrFull
	}
	q.drop(event)
	return nil
}

// Close takes in nothing more. The stage ends once it has emitted what is
// there. Closing again does nothing.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.close()
	self := q.self
	q.mu.Unlock()
	if self != nil {
		self.Wake()
	}
}

// QueueStats are a queue's counts. Pushed = Waiting + Discarded (of those that
// were in the queue) + what the stage has taken.
type QueueStats struct {
	// Waiting is how many events are in the queue now.
	Waiting int `json:"waiting"`
	// Pushed is how many events were accepted, Discarded how many were dropped
	// by the overflow policy, since the start.
	Pushed    int64 `json:"pushed"`
	Discarded int64 `json:"discarded"`
}

// Stats answers the queue's counts.
func (q *Queue[T]) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{Waiting: q.events.Len(), Pushed: q.pushed, Discarded: q.discarded}
}

func (q *Queue[T]) refusal() error {
	switch {
	case q.invalid != nil:
		return q.invalid
	case q.closed:
		return ErrClosed
	}
	return nil
}

func (q *Queue[T]) hasRoom() bool { return q.events.Len()+q.promised < q.cfg.Capacity }

// put appends, unlocks and wakes the stage if it waits for events.
func (q *Queue[T]) put(event T) {
	q.events.Push(event)
	q.pushed++
	wake := q.owed > 0 && !q.woken && q.self != nil
	if !wake {
		q.mu.Unlock()
		return
	}
	q.woken = true
	self := q.self
	q.mu.Unlock()
	self.Wake()
}

// drop makes room for event, or discards it, and unlocks.
func (q *Queue[T]) drop(event T) {
	q.discarded++
	victim := event
	if q.cfg.Overflow == DropOldest {
		victim = q.events.Pop()
		q.put(event)
	} else {
		q.mu.Unlock()
	}
	if q.cfg.Discarded != nil {
		q.cfg.Discarded(victim, dispatcher.QueueFull)
	}
}

func (q *Queue[T]) close() {
	q.closed = true
	for q.waiters.Len() > 0 {
		close(q.waiters.Pop().ready)
	}
}

// take moves up to owed events to the stage and lets waiters go on.
func (q *Queue[T]) take(emit *stage.Emitter[T]) error {
	for q.owed > 0 && q.events.Len() > 0 {
		run := q.events.Front()
		run = run[:min(len(run), q.owed)]
		emit.EmitAll(run)
		q.owed -= len(run)
		q.events.Drop(len(run))
	}
	for q.waiters.Len() > 0 && q.hasRoom() {
		w := q.waiters.Pop()
		if w.left {
			continue
		}
		w.given = true
		q.promised++
		close(w.ready)
	}
	if q.closed && q.events.Len() == 0 && q.promised == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleStart implements stage.Starter.
func (q *Queue[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.invalid != nil {
		return q.invalid
	}
	q.self = self
	return nil
}

// HandleDemand implements stage.Producer.
func (q *Queue[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.owed += n
	return q.take(emit)
}

// HandleWake implements stage.Waker.
func (q *Queue[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.woken = false
	return q.take(emit)
}

// HandleDrain implements stage.Drainer.
func (q *Queue[T]) HandleDrain(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.close()
	if q.events.Len() == 0 && q.promised == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleTerminate implements stage.Terminator.
func (q *Queue[T]) HandleTerminate(context.Context, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.close()
}
