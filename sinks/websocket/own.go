package websocket

import (
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// ownCall is a call of the application in a goroutine of its own, which may hang,
// panic or call runtime.Goexit.
type ownCall struct {
	done chan struct{} // closed when it has returned
	err  error         // valid then
	late atomic.Int32  // onTime, hungCall or returned
	hung *hungs
	id   string
}

// The states of ownCall.late.
const (
	onTime   = iota
	hungCall // it counts in hung
	returned
)

// hang counts a call that is not waited for any more, until it returns. It returns
// how many hang.
func (c *ownCall) hang() int {
	n := c.hung.add(c.id)
	if !c.late.CompareAndSwap(onTime, hungCall) {
		c.hung.remove(c.id)
	}
	return n
}

// own calls f, for a socket id if that is known. Close waits for its goroutine.
func (e *Endpoint) own(hung *hungs, id string, f func() error) *ownCall {
	c := &ownCall{done: make(chan struct{}), hung: hung, id: id}
	e.spawn(func() {
		c.err = ErrGoexit // unless f returns or panics
		defer func() {
			close(c.done)
			if !c.late.CompareAndSwap(onTime, returned) {
				c.hung.remove(c.id)
			}
		}()
		defer crash.Catch(&c.err)
		c.err = f()
	})
	return c
}

// lateness is how long a function that respects its context may take to return
// after that has ended.
const lateness = time.Second

// await waits for the call, and for lateness after ended was closed. It reports
// whether the call has returned.
func (c *ownCall) await(ended <-chan struct{}) bool {
	select {
	case <-c.done:
		return true
	case <-ended:
	}
	timer := time.NewTimer(lateness)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

// crashed reports whether the call has panicked or called runtime.Goexit.
func (c *ownCall) crashed() bool { return crash.StackOf(c.err) != "" || c.err == ErrGoexit }
