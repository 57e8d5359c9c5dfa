package pipelinetest

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// Source is a producer of the events that a test pushes. It emits them on demand, in
// order, and ends when the pipeline drains or Close is called. Push and the like may be
// called by any goroutine, before and while the pipeline runs, and never wait.
type Source[T any] struct {
	mu      sync.Mutex // guards the fields below
	self    *stage.Handle
	waiting Receipts[T] // not emitted yet
	emitted Receipts[T] // by the number of their emission in this life; nil once finished
	demand  int
	open    int       // without a receipt
	bulk    bool      // the last events came with Batch
	pressed bool      // HandleStalled has reported true, and not false since
	held    time.Time // when the first of waiting was held back; zero if none is
	closing bool      // nothing more is taken
	over    bool      // the stage has ended for good
	failure error     // with which HandleWake fails
}

// NewSource makes a source for [pipeline.From], or for [pipeline.FromFunc] if the test is
// about a source that fails: each life of its stage begins with the events that have no
// receipt.
func NewSource[T any]() *Source[T] { return &Source[T]{} }

// Push pushes one event. Steps that gather events pass it on at once, rather than wait
// for more.
func (s *Source[T]) Push(event T) *Receipt[T] { return s.push(false, event)[0] }

// PushAll is Push for several events, which may be gathered together.
func (s *Source[T]) PushAll(events ...T) Receipts[T] { return s.push(false, events...) }

// Batch pushes events that steps gather as they do in production, by size and timeout.
func (s *Source[T]) Batch(events ...T) Receipts[T] { return s.push(true, events...) }

func (s *Source[T]) push(bulk bool, events ...T) Receipts[T] {
	rs := make(Receipts[T], len(events))
	for i, event := range events {
		rs[i] = &Receipt[T]{Event: event, done: make(chan struct{})}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.over {
		for _, r := range rs {
			r.end(receipt.Abandoned, "", ErrEnded)
		}
		return rs
	}
	s.bulk = bulk
	s.waiting = append(s.waiting, rs...)
	s.open += len(rs)
	s.wake()
	return rs
}

// end gives the receipt.
func (r *Receipt[T]) end(outcome receipt.Outcome, reason receipt.Reason, err error) {
	r.outcome, r.reason, r.err = outcome, reason, err
	close(r.done)
}

// Close ends the source in good order: it takes nothing more, and the pipeline ends when
// all events have their receipts.
func (s *Source[T]) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	s.wake()
}

// Fail makes the source's stage fail with err, as when a connection is lost.
func (s *Source[T]) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	s.wake()
}

// Unfinished returns the number of events without a receipt.
func (s *Source[T]) Unfinished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Source[T]) wake() {
	if s.self != nil {
		s.self.Wake()
	}
}

// HandleStart implements [stage.StartHandler]: what has no receipt is emitted again.
func (s *Source[T]) HandleStart(_ context.Context, self *stage.Handle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.self, s.demand, s.failure, s.pressed, s.held = self, 0, nil, false, time.Time{}
	var again Receipts[T]
	for _, r := range s.emitted {
		if r != nil {
			again = append(again, r)
		}
	}
	s.waiting, s.emitted = append(again, s.waiting...), nil
	return nil
}

// HandleDemand implements [stage.Producer].
func (s *Source[T]) HandleDemand(_ context.Context, n int, emit *stage.Emitter[T]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.demand += n
	return s.emit(emit)
}

// HandleWake implements [stage.WakeHandler].
func (s *Source[T]) HandleWake(_ context.Context, emit *stage.Emitter[T]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.emit(emit)
}

// emit emits what there is demand for.
func (s *Source[T]) emit(emit *stage.Emitter[T]) error {
	if s.failure != nil {
		return s.failure
	}
	if s.holds() {
		return nil
	}
	n := min(s.demand, len(s.waiting))
	for _, r := range s.waiting[:n] {
		emit.Emit(r.Event)
	}
	s.emitted = append(s.emitted, s.waiting[:n]...)
	s.waiting, s.demand = s.waiting[n:], s.demand-n
	if s.closing && len(s.waiting) == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleStalled implements [stage.StalledHandler]: after Push, steps must not wait for
// more events.
func (s *Source[T]) HandleStalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pressed = !s.bulk && s.open > 0 && len(s.waiting) == 0
	if !s.held.IsZero() {
		s.held = time.Time{}
		s.wake()
	}
	return s.pressed
}

// patience is how long a batch waits for the stage to be idle, which it never is for a
// handler without subscribers that gather.
const patience = time.Millisecond

// holds reports whether a batch must wait until the stage has been idle: after a stall the
// stage presses its subscribers once more, with what was emitted in the same round.
func (s *Source[T]) holds() bool {
	if !s.bulk || !s.pressed || len(s.waiting) == 0 {
		return false
	}
	now := time.Now()
	if s.held.IsZero() {
		s.held = now
		s.self.WakeAt(now.Add(patience))
		return true
	}
	return now.Sub(s.held) < patience
}

// HandleReceipts implements [stage.ReceiptsHandler].
func (s *Source[T]) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			e := s.emitted[seq]
			// An abandoned event has no receipt: a source has it again after a restart.
			if e == nil || r.Outcome == receipt.Abandoned {
				continue
			}
			s.emitted[seq] = nil
			s.open--
			e.end(r.Outcome, r.Reason, nil)
		}
	}
	return nil
}

// HandleDrain implements [stage.DrainHandler].
func (s *Source[T]) HandleDrain(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	if len(s.waiting) == 0 {
		return stage.ErrDone
	}
	return nil
}

// HandleTerminate implements [stage.TerminateHandler]. After Fail the source may live
// once more.
func (s *Source[T]) HandleTerminate(context.Context, error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.self = nil
	if s.failure == nil {
		s.abandon()
	}
	return nil
}

// abandon ends all events without a receipt.
func (s *Source[T]) abandon() {
	if s.over {
		return
	}
	s.over = true
	for _, r := range append(s.emitted, s.waiting...) {
		if r != nil {
			r.end(receipt.Abandoned, "", ErrEnded)
		}
	}
	s.emitted, s.waiting, s.open = nil, nil, 0
}
