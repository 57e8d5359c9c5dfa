package producer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/ring"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// The defaults of a queue, in events.
const (
	DefaultCapacity     = 10_000
	DefaultKeyMaxEvents = 1024
)

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
	// Key, if set, returns what an event is accounted to, such as its user, in the
	// pushing goroutine. It must be pure. A key has no more than KeyMaxEvents
	// unfinished events, so that one which floods is refused while the pushes of
	// all others go through. It needs Overflow Refuse.
	Key func(event T) string
	// KeyMaxEvents bounds the unfinished events of a key, 1 or more: those that
	// were accepted and have no receipt yet, wherever in the pipeline they are.
	// Default: 1,024. It needs Key.
	KeyMaxEvents int
	// MaxBytes bounds the unfinished events in total, in bytes as measured by
	// Size. Default: no bound. It needs Size, and Overflow Refuse.
	MaxBytes int64
	// Size returns the bytes that an event counts for, in the pushing goroutine.
	// Below 0 counts as 0. It needs MaxBytes.
	Size func(event T) int
	// Overflow selects what happens when Capacity is reached. Default: Refuse.
	Overflow Overflow
	// Stamp, if set, is called in the pushing goroutine with the time at which
	// the push began, before it can wait for anything.
	Stamp func(event *T, at time.Time)
	// Discarded, if set, is called for every event that is dropped: in the
	// pushing goroutine with receipt.QueueFull, and on the stage's goroutine
	// with receipt.Stopped for the events left when the stage is stopped.
	// It must not block or push.
	Discarded func(event T, reason receipt.Reason)
	// Metrics gets the counters queue.refused and queue.discarded. nil records
	// nothing.
	Metrics metrics.Recorder
	// Logger gets a line for refused pushes and for dropped events, at most once a
	// second for each reason, with the number that it stands for. Default: slog.Default.
	Logger *slog.Logger
}

// validate is called with the defaults filled in.
func (c *QueueConfig[T]) validate() error {
	owner := option.Owner("producer.Queue")
	refuses := func(option string, used bool) error {
		return owner.Check(!used || c.Overflow == Refuse, option, c.Overflow, "unset unless Overflow is Refuse")
	}
	return option.First(
		option.AtLeast(owner, "Capacity", c.Capacity, 1),
		owner.Check(c.Overflow <= DropNewest, "Overflow", c.Overflow, "Refuse, DropOldest or DropNewest"),
		owner.Check(c.Key != nil || c.KeyMaxEvents == 0, "KeyMaxEvents", c.KeyMaxEvents, "0 unless Key is set"),
		option.AtLeast(owner, "KeyMaxEvents", c.KeyMaxEvents, 0),
		option.AtLeast(owner, "MaxBytes", c.MaxBytes, 0),
		owner.Check(c.Size != nil || c.MaxBytes == 0, "Size", c.Size, "a function if MaxBytes is set"),
		owner.Check(c.Size == nil || c.MaxBytes > 0, "MaxBytes", c.MaxBytes, "1 or more if Size is set"),
		refuses("Key", c.Key != nil),
		refuses("MaxBytes", c.MaxBytes > 0),
		owner.Recorder(c.Metrics),
	)
}

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
// otherwise takes all events for unfinished.
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
	pushed    int64
	taken     int64
	discarded int64
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

// put appends, unlocks and wakes the stage if it waits for events.
func (q *Queue[T]) put(event T, t ticket[T]) {
	q.append(event, t)
	wanted := q.wanted()
	q.mu.Unlock()
	wake(wanted)
}

// append puts an accepted event into the queue.
func (q *Queue[T]) append(event T, t ticket[T]) {
	q.events.Push(event)
	if q.gate.tracked {
		q.tickets.Push(t)
	}
	q.pushed++
}

// admit lets in the waiting pushes for which there is room.
func (q *Queue[T]) admit() {
	for p := q.gate.next(); p != nil; p = q.gate.next() {
		q.append(p.event, p.ticket)
		p.ready <- struct{}{}
	}
}

// wanted returns the stage if it waits for events that are there, and was not woken yet.
// The caller wakes it when it has released the lock.
func (q *Queue[T]) wanted() *stage.Handle {
	if q.owed == 0 || q.woken || q.self == nil || q.events.Len() == 0 {
		return nil
	}
	q.woken = true
	return q.self
}

// deny notes that a push was kept out. It returns the stage if that must be woken to learn
// that it is stalled: a full key it has seen with the event that filled it.
func (q *Queue[T]) deny(why bound) *stage.Handle {
	if why != heavy || q.gate.denied {
		return nil
	}
	q.gate.denied = true
	if q.owed == 0 || q.woken || q.self == nil {
		return nil
	}
	q.woken = true
	return q.self
}

func wake(self *stage.Handle) {
	if self != nil {
		self.Wake()
	}
}

// drop makes room for event, or discards it, and unlocks. Nothing waits in line: a queue
// that drops has no other bound.
func (q *Queue[T]) drop(event T) {
	q.discarded++
	victim := event
	if q.cfg.Overflow == DropOldest {
		victim = q.events.Pop()
		q.gate.taken(1)
		q.gate.accept(ticket[T]{account: q.gate.sole})
		q.put(event, ticket[T]{})
	} else {
		q.pushed++
		q.mu.Unlock()
	}
	q.refused.dropped(receipt.QueueFull, 1)
	if q.cfg.Discarded != nil {
		q.cfg.Discarded(victim, receipt.QueueFull)
	}
}

// close refuses pushes from now on, those in line included, and returns how many these
// were. The caller holds the lock. Closing again does nothing.
func (q *Queue[T]) close() (n int) {
	q.closed = true
	for p := q.gate.refuse(); p != nil; p = q.gate.refuse() {
		p.refused = true
		p.ready <- struct{}{}
		n++
	}
	q.refused.count[closed] += int64(n)
	return n
}
