package producer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// DefaultCapacity is the default of QueueConfig.Capacity, in events.
const DefaultCapacity = 10_000

// Overflow selects what a full queue does with a push.
type Overflow uint8

const (
	// Refuse makes Push wait and TryPush return ErrFull. It is the default.
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
	// Overflow selects what happens when the queue is full. Default: Refuse.
	Overflow Overflow
	// Stamp, if set, is called in the pushing goroutine with the time at which
	// the push began, before it can wait for anything.
	Stamp func(event *T, at time.Time)
	// Discarded, if set, is called for every event that is dropped: in the
	// pushing goroutine with receipt.QueueFull, and on the stage's goroutine
	// with receipt.Stopped for the events left when the stage is stopped.
	// It must not block or push.
	Discarded func(event T, reason receipt.Reason)
}

// Queue is a bounded queue into which any goroutine pushes and which a stage
// empties on demand. It implements stage.Producer.
//
// Events leave in the order in which their pushes began: a push that waits for
// room keeps its place, and no later push overtakes it.
type Queue[T any] struct {
	cfg    QueueConfig[T]
	places sync.Pool // of *place[T]

	mu        sync.Mutex
	events    ring.Ring[T]
	line      line[T] // empty unless events is full
	owed      int     // demand that is not served yet
	woken     bool    // HandleWake will be called
	closed    bool
	self      *stage.Handle
	pushed    int64
	taken     int64
	discarded int64
}

// NewQueue returns an empty queue. An error is an [*OptionError].
func NewQueue[T any](cfg QueueConfig[T]) (*Queue[T], error) {
	owner := option.Owner("producer.Queue")
	if err := option.First(
		option.AtLeast(owner, "Capacity", cfg.Capacity, 0),
		owner.Check(cfg.Overflow <= DropNewest, "Overflow", cfg.Overflow, "Refuse, DropOldest or DropNewest"),
	); err != nil {
		return nil, err
	}
	option.Default(&cfg.Capacity, DefaultCapacity)
	q := &Queue[T]{cfg: cfg}
	q.places.New = func() any { return &place[T]{ready: make(chan struct{}, 1)} }
	return q, nil
}

// Push appends an event. With Refuse it waits for room until ctx is done, and
// then returns an error that wraps ErrFull and the context's cause. It returns
// ErrClosed if the queue accepts nothing more. If the event was accepted, Push
// returns nil even if ctx is done by then.
func (q *Queue[T]) Push(ctx context.Context, event T) error {
	if q.cfg.Stamp != nil {
		event = q.stamp(event)
	}
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		return ErrClosed
	case q.hasRoom():
		q.put(event)
		return nil
	case q.cfg.Overflow != Refuse:
		q.drop(event)
		return nil
	}
	p := q.places.Get().(*place[T])
	p.event = event
	q.line.join(p)
	q.mu.Unlock()
	select {
	case <-p.ready:
	case <-ctx.Done():
		if q.leave(p) {
			return fmt.Errorf("push: %w: %w", ErrFull, context.Cause(ctx))
		}
		<-p.ready
	}
	refused := p.refused
	q.forget(p)
	if refused {
		return ErrClosed
	}
	return nil
}

// stamp borrows a place for the event: a pointer to the argument itself would
// cost an allocation for each push.
func (q *Queue[T]) stamp(event T) T {
	now := time.Now()
	p := q.places.Get().(*place[T])
	p.event = event
	q.cfg.Stamp(&p.event, now)
	event = p.event
	q.forget(p)
	return event
}

// leave removes a place from the line and reports whether the place still waited:
// not if it was called meanwhile.
func (q *Queue[T]) leave(p *place[T]) bool {
	q.mu.Lock()
	waits := p.waits
	if waits {
		q.line.leave(p)
	}
	q.mu.Unlock()
	if waits {
		q.forget(p)
	}
	return waits
}

// forget clears a place and keeps it for another push. No other goroutine knows it.
func (q *Queue[T]) forget(p *place[T]) {
	var none T
	p.event, p.refused = none, false
	q.places.Put(p)
}

// TryPush appends an event without ever waiting. With Refuse it returns ErrFull
// if there is no room.
func (q *Queue[T]) TryPush(event T) error {
	if q.cfg.Stamp != nil {
		event = q.stamp(event)
	}
	q.mu.Lock()
	switch {
	case q.closed:
		q.mu.Unlock()
		return ErrClosed
	case q.hasRoom():
		q.put(event)
		return nil
	case q.cfg.Overflow != Refuse:
		q.drop(event)
		return nil
	}
	q.mu.Unlock()
	return ErrFull
}

// Drain makes the queue accept nothing more; waiting pushes return ErrClosed. The
// stage ends once it has emitted the waiting events. Draining again does nothing.
func (q *Queue[T]) Drain() {
	q.mu.Lock()
	q.close()
	self := q.self
	q.mu.Unlock()
	if self != nil {
		self.Wake()
	}
}

// QueueSnapshot holds a queue's counts at one moment, since the start:
// Pushed = Waiting + Taken + Discarded.
type QueueSnapshot struct {
	// Waiting is the number of events in the queue now.
	Waiting int `json:"waiting"`
	// Pushed is the number of accepted events, including those that the overflow
	// policy dropped, Taken that of events the stage has emitted, Discarded that
	// of dropped events.
	Pushed    int64 `json:"pushed"`
	Taken     int64 `json:"taken"`
	Discarded int64 `json:"discarded"`
	// Blocked is the number of pushes that wait for room now. They are in none of
	// the counts above.
	Blocked int `json:"blocked"`
}

// Snapshot returns the queue's counts.
func (q *Queue[T]) Snapshot() QueueSnapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueSnapshot{
		Waiting: q.events.Len(), Pushed: q.pushed, Taken: q.taken, Discarded: q.discarded, Blocked: q.line.len,
	}
}

// hasRoom is never true while a push waits in line: the code that makes room
// first moves the line into the queue.
func (q *Queue[T]) hasRoom() bool { return q.events.Len() < q.cfg.Capacity }

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
		q.pushed++
		q.mu.Unlock()
	}
	if q.cfg.Discarded != nil {
		q.cfg.Discarded(victim, receipt.QueueFull)
	}
}

// close refuses pushes from now on, those in line included. The caller holds the lock.
// Closing again does nothing.
func (q *Queue[T]) close() {
	q.closed = true
	for q.line.len > 0 {
		p := q.line.next()
		p.refused = true
		p.ready <- struct{}{}
	}
}
