package consumer

import (
	"context"

	"github.com/penstock-go/penstock/stage"
)

// Deferred is the receipt for an event that the caller of [Defer] gives.
type Deferred struct {
	finish func(position uint64, err error)
	at     uint64
}

// Finish gives the receipt: nil if the event was handled, stage.Discard(reason)
// if it was dropped on purpose, any other error if it failed. It may be called
// from any goroutine and never blocks. Calling it again, or after the
// supervisor has stopped, does nothing.
func (d Deferred) Finish(err error) { d.finish(d.at, err) }

// Defer leaves the receipt for an event to the caller. ctx is the context of the
// event's worker. The worker's slot is free again when the worker returns, but
// the event counts as unfinished until Finish is called. So a worker that has
// queued something at a slow client can end at once, and the client's key is
// served again only when the client has taken it.
//
// Defer must be called before the worker returns. ok is false if ctx is not a
// worker's, if the receipt was deferred before, or if the worker has lost its
// event to its timeout. A worker that has deferred is not started again whatever
// it returns, and Failed is not called for its event, since the caller of Finish
// knows.
func Defer(ctx context.Context) (d Deferred, ok bool) {
	w, ok := ctx.Value(workerKey{}).(interface{ deferReceipt() (Deferred, bool) })
	if !ok {
		return Deferred{}, false
	}
	return w.deferReceipt()
}

func (w *worker[T]) deferReceipt() (Deferred, bool) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	t := w.task
	if t == nil || !s.pool.postpone(t) {
		return Deferred{}, false
	}
	return Deferred{finish: t.account.finish, at: t.position}, true
}

// finishDeferred gives a receipt that was deferred, from any goroutine.
func (s *Supervisor[T]) finishDeferred(a *account[T], position uint64, err error) {
	o := s.freeOrders()
	s.mu.Lock()
	s.pool.settleDeferred(a, stage.Finished{Position: position, Err: err}, o)
	s.mu.Unlock()
	s.handOver(o)
}

// tick is called by the timer some time after slots were left that do not make up
// a group.
func (s *Supervisor[T]) tick() {
	o := s.freeOrders()
	s.mu.Lock()
	s.pool.tick(o)
	s.mu.Unlock()
	s.handOver(o)
}

// alarm is called by the timer when the first pause is over.
func (s *Supervisor[T]) alarm() {
	o := s.freeOrders()
	s.mu.Lock()
	s.pool.alarm(s.clock(), o)
	s.setAlarm()
	woken := s.popIdle(o.wake)
	s.mu.Unlock()
	s.carryOut(o, woken)
	o.reset()
	s.free.Put(o)
}

// setAlarm sets the timer to the end of the first pause. It is called with the lock held:
// otherwise a goroutine that comes late could set the timer back to a later one.
func (s *Supervisor[T]) setAlarm() {
	if at, ok := s.pool.pauses.first(); ok {
		s.wakeup.Reset(max(0, at-s.clock()))
	}
}

// handOver carries out the orders of a goroutine that is not the pool's. The pool
// does not end before that.
func (s *Supervisor[T]) handOver(o *orders[T]) {
	due := len(o.settle) > 0
	s.carryOut(o, nil)
	o.reset()
	if due {
		s.mu.Lock()
		s.pool.handed(o)
		s.mu.Unlock()
		s.carryOut(o, nil)
		o.reset()
	}
	s.free.Put(o)
}

// freeOrders returns empty orders for a goroutine that is not the pool's. handOver returns
// them to free.
func (s *Supervisor[T]) freeOrders() *orders[T] {
	if o, ok := s.free.Get().(*orders[T]); ok {
		return o
	}
	return new(orders[T])
}
