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
// from any goroutine and never blocks. Calling it again, or after the
// supervisor has stopped, does nothing.
func (d Deferred) Finish(err error) { d.finish(d.at, err) }

// Defer takes the receipt for the event of the worker whose context is ctx into
// the caller's hands: the worker's slot is free again when the worker returns,
// but the event counts as unfinished until Finish is called. So a worker that
// has queued something at a slow client can end at once, and the client's key
// is served again only when the client has taken it.
//
// Defer must be called before the worker returns. ok is false if ctx is not a
// worker's, if the receipt was taken before, or if the worker has lost its event
// to its timeout. A worker that has deferred is not started again whatever it
// answers, and Failed is not called for its event: whoever calls Finish knows.
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
	if w.lost || w.deferred || !w.trying {
		return Deferred{}, false
	}
	w.deferred = true
	a := w.job.account
	a.deferred[w.job.position] = struct{}{}
	if a.finish == nil {
		a.finish = a.finishDeferred // made once for each subscription
	}
	return Deferred{finish: a.finish, at: w.job.position}, true
}

func (a *account[T]) finishDeferred(position uint64, err error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if _, ok := a.deferred[position]; !ok {
		return
	}
	delete(a.deferred, position)
	a.receipt(stage.Finished{Position: position, Err: err})
	a.s.settle(a, false)
}
