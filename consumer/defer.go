package consumer

import (
	"context"

	"github.com/penstock-go/penstock/stage"
)

// Deferred is the receipt for an event whose worker has taken it into its own
// hands.
type Deferred struct {
	finish func(position uint64, err error)
	at     uint64
}

// Finish gives the receipt: nil if the event was handled, stage.Discard(reason)
// if it was dropped on purpose, any other error if it failed. It may be called
// from any goroutine, never blocks, and must be called exactly once.
func (d Deferred) Finish(err error) { d.finish(d.at, err) }

// Defer takes the receipt for the event of the worker whose context is ctx into
// the caller's hands: the worker's slot is free again when the worker returns,
// but the event counts as unfinished until Finish is called. So a worker that
// has queued something at a slow client can end at once, and the client's key
// is served again only when the client has taken it. ok is false if ctx is not
// a worker's, or the receipt was taken before.
//
// A worker that has deferred must return nil; it is not started again.
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
	if w.deferred || w.job.account == nil {
		return Deferred{}, false
	}
	w.deferred = true
	return Deferred{finish: w.job.account.finisher(s), at: w.job.position}, true
}

// finisher answers the function by which deferred receipts of a come back. It
// is made once for each subscription.
func (a *account[T]) finisher(s *Supervisor[T]) func(uint64, error) {
	if a.finishDeferred == nil {
		a.finishDeferred = func(position uint64, err error) {
			s.mu.Lock()
			s.deferred--
			a.finished = append(a.finished, stage.Finished{Position: position, Err: err})
			s.settle(a)
			s.mu.Unlock()
		}
	}
	return a.finishDeferred
}
