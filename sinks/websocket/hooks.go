package websocket

import (
	"slices"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/metrics"
)

// giveUp counts items that will never be written and calls their hooks, in a
// goroutine of its own.
func (e *Endpoint) giveUp(gone []*item, reason error) {
	hooks := 0
	for i := range gone {
		// Control messages do not count: websocket.discarded is about events.
		if !gone[i].control {
			e.discardedFor(reason).Add(1)
		}
		if gone[i].written != nil {
			hooks++
		}
	}
	// The usual case: a broadcast has no hook, and needs no goroutine.
	if hooks == 0 {
		return
	}
	e.spawn(func() { e.tellAll(gone, time.Now(), reason, func() {}) })
}

// tellAll calls the hooks of items, in their order. Should one of them end this goroutine
// with runtime.Goexit, another one calls those of the rest, and then after.
func (e *Endpoint) tellAll(items []*item, at time.Time, err error, after func()) {
	i := 0
	defer func() {
		if i == len(items) {
			return
		}
		e.logCrash("written hook", ErrGoexit)
		// A copy, since the batch of a writer goes back to a pool.
		rest := slices.Clone(items[i+1:])
		e.spawn(func() {
			e.tellAll(rest, at, err, after)
			after()
		})
	}()
	for ; i < len(items); i++ {
		e.tell(items[i], at, err)
	}
}

// tell calls the hook of an item. Callers must ensure that this happens once.
func (e *Endpoint) tell(it *item, at time.Time, err error) {
	if it.written != nil {
		// A panic must not end the goroutine that writes.
		defer e.recoverHook("written hook")
		it.written.Report(at, err)
	}
}

// recoverHook logs a panic of a callback of the application.
func (e *Endpoint) recoverHook(what string) {
	if v := recover(); v != nil {
		e.logCrash(what, crash.Of(v))
	}
}

// discardedFor returns the counter for items that were discarded for a reason.
func (e *Endpoint) discardedFor(reason error) metrics.Counter {
	switch reason {
	case ErrQueueFull:
		return e.discarded[discardedQueueFull]
	case ErrConflated:
		return e.discarded[discardedConflated]
	}
	return e.discarded[discardedClosed]
}

// notify calls QueueFull and QueueDrained in turn until the application knows
// the present state of the queue. At most one runs for a session at a time.
func (s *session) notify() {
	for {
		s.mu.Lock()
		full, ok := s.out.notified()
		// Read under the mutex, since a renewal may replace it.
		state := s.state
		s.mu.Unlock()
		if !ok {
			return
		}
		// Either may be nil, but not both: see bounds.notify.
		f := s.mount.kind.drained
		if full {
			f = s.mount.kind.full
		}
		if f != nil {
			s.endpoint().callHook(f, state)
		}
	}
}

// callHook calls QueueFull or QueueDrained, seldom enough for a goroutine of its own: the
// callback may end it.
func (e *Endpoint) callHook(f func(state any), state any) {
	if err := crash.Apart(func() { f(state) }); err != nil {
		e.logCrash("queue callback", err)
	}
}
