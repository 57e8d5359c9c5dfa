package producer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/stage"
)

// Queue is a bounded queue into which any goroutine pushes and which a stage
// empties on demand. It implements stage.Producer.
//
// Events of a key leave in the order in which their pushes began: a push that waits
// for room keeps its place, and no later push of its key overtakes it. Without Key
// that goes for all events. Keys whose pushes wait take turns, so that pushes of a
// key that is full delay no other.
//
// A producer that embeds a *Queue may have a HandleReceipts of its own, to acknowledge
// pushes. With Key or MaxBytes it must call that of the queue as well, which
// otherwise takes all events for unfinished; and it must emit nothing besides what the
// queue emits, since the queue counts emitted events to know which one a receipt is for.
type Queue[T any] struct {
	cfg     QueueConfig[T]
	places  sync.Pool // of *place[T]
	refused refusals

	mu        sync.Mutex
	gate      gate[T]
	events    ring.Ring[T]
	tickets   ring.Ring[ticket[T]] // of events; empty unless the gate is tracked
	emitted   map[uint64]ticket[T] // of those that have left and have no receipt
	owed      int                  // demand that is not served yet
	woken     bool                 // HandleWake will be called
	closed    bool
	self      *stage.Handle
	unused    *time.Timer // of warnUnused; nil before the first event
	pushed    int64
	entered   int64 // events that were put into the queue: pushed less what DropNewest kept out
	taken     int64
	discarded int64
	ages      ages
}

// NewQueue returns an empty queue. An error is an [*OptionError].
func NewQueue[T any](cfg QueueConfig[T]) (*Queue[T], error) {
	option.Default(&cfg.Capacity, DefaultCapacity)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Key != nil {
		option.Default(&cfg.KeyMaxEvents, DefaultKeyMaxEvents)
	}
	q := &Queue[T]{cfg: cfg, gate: newGate[T](cfg.Capacity, cfg.Key != nil, cfg.KeyMaxEvents, cfg.MaxBytes)}
	if q.gate.tracked {
		q.emitted = make(map[uint64]ticket[T])
	}
	option.Logger(&cfg.Logger)
	q.refused.init(cfg.Metrics, cfg.Logger, cfg.Capacity, cfg.KeyMaxEvents, cfg.MaxBytes)
	q.places.New = func() any { return &place[T]{ready: make(chan struct{}, 1)} }
	return q, nil
}

// Push appends an event. With Refuse it waits for room until ctx is done, and
// then returns an error that wraps ErrFull or ErrKeyFull and the context's cause. It
// returns ErrClosed if the queue accepts nothing more, and ErrTooLarge, at once, for
// an event that MaxBytes can never take. If the event was accepted, Push returns nil
// even if ctx is done by then.
func (q *Queue[T]) Push(ctx context.Context, event T) error {
	event, key, size := q.prepare(event)
	q.mu.Lock()
	why := q.try(event, key, size)
	switch why {
	case open:
		return nil
	case full, keyFull, heavy:
	default:
		return q.refuse(why)
	}
	p := q.places.Get().(*place[T])
	p.event = event
	q.gate.join(p, key, size)
	stalled := q.deny(why)
	q.mu.Unlock()
	wake(stalled)
	select {
	case <-p.ready:
	case <-ctx.Done():
		if why, waits := q.leave(p, key); waits {
			return fmt.Errorf("push: %w: %w", why, context.Cause(ctx))
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

// TryPush appends an event without ever waiting. With Refuse it returns ErrFull
// if there is no room, and ErrKeyFull if there is none for the event's key.
func (q *Queue[T]) TryPush(event T) error {
	event, key, size := q.prepare(event)
	q.mu.Lock()
	why := q.try(event, key, size)
	if why == open {
		return nil
	}
	stalled := q.deny(why)
	err := q.refuse(why)
	wake(stalled)
	return err
}

// prepare stamps the event and returns its key and size.
func (q *Queue[T]) prepare(event T) (stamped T, key string, size int64) {
	if q.cfg.Stamp != nil {
		event = q.stamp(event)
	}
	if q.cfg.Key != nil {
		key = q.cfg.Key(event)
	}
	if q.cfg.Size != nil {
		size = int64(max(0, q.cfg.Size(event)))
	}
	return event, key, size
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

// try accepts the event, or drops one for it, and unlocks, if nothing keeps it out.
// Otherwise it returns what does, and the lock is still held.
func (q *Queue[T]) try(event T, key string, size int64) bound {
	if q.closed {
		return closed
	}
	switch why := q.gate.check(key, size); {
	case why == open:
		q.put(event, q.gate.enter(key, size))
	case why == full && q.cfg.Overflow != Refuse:
		q.drop(event)
	default:
		return why
	}
	return open
}

// leave removes a place from its line, and reports whether the place still waited: not
// if it was called meanwhile. why is what it waited for.
func (q *Queue[T]) leave(p *place[T], key string) (why error, waits bool) {
	q.mu.Lock()
	if waits = p.waits; !waits {
		q.mu.Unlock()
		return nil, false
	}
	reason := q.gate.check(key, p.ticket.size)
	q.gate.leave(p)
	q.admit() // a smaller event that waited for this one may have room
	wanted := q.wanted()
	why = q.refuse(reason)
	wake(wanted)
	q.forget(p)
	return why, true
}

// forget clears a place and keeps it for another push. No other goroutine knows it.
func (q *Queue[T]) forget(p *place[T]) {
	var none T
	p.event, p.ticket, p.refused = none, ticket[T]{}, false
	q.places.Put(p)
}

// Drain makes the queue accept nothing more; waiting pushes return ErrClosed. The
// stage ends once it has emitted the waiting events. Draining again does nothing.
func (q *Queue[T]) Drain() {
	q.mu.Lock()
	n := q.close()
	self := q.self
	q.mu.Unlock()
	q.refused.record(closed, n)
	wake(self)
}
