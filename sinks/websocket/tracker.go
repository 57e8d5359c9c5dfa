package websocket

import (
	"context"
	"sync/atomic"
)

// tracker counts what must have ended before Close may return. It is not a
// sync.WaitGroup because it can grow while Close waits.
type tracker struct {
	// Never negative: each add has one done.
	n    atomic.Int64
	zero chan struct{} // one token when n has fallen to zero
}

// add counts one more.
func (t *tracker) add() { t.n.Add(1) }

// done counts one less, and wakes wait after the last.
func (t *tracker) done() {
	if t.n.Add(-1) == 0 {
		t.signal()
	}
}

// signal wakes one caller of wait.
func (t *tracker) signal() {
	select {
	case t.zero <- struct{}{}:
	default:
	}
}

// wait returns when nothing is left, or when ctx is done.
func (t *tracker) wait(ctx context.Context) error {
	// The token may be an old one, so that the count decides.
	for t.n.Load() != 0 {
		select {
		case <-t.zero:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.signal() // for other callers that wait
	return nil
}

// spawn runs f in a goroutine that Close waits for.
func (e *Endpoint) spawn(f func()) {
	e.work.add()
	go func() {
		defer e.work.done()
		f()
	}()
}
