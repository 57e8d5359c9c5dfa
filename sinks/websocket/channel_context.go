package websocket

import (
	"context"
	"time"
)

// channelContext is a channel as a context. It costs nothing until something
// waits for it.
type channelContext Channel

// Deadline returns false: there is none.
func (*channelContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value returns nil.
func (*channelContext) Value(any) any { return nil }

// Done returns a channel that is closed at the end, before HandleTerminate.
func (c *channelContext) Done() <-chan struct{} {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	m := ch.more()
	// Made for the first caller; cancel closes it.
	if m.done == nil {
		m.done = make(chan struct{})
		if ch.state >= ending || ch.reason != nil {
			close(m.done)
		}
	}
	return m.done
}

// AfterFunc is used by context.AfterFunc, which would otherwise need a goroutine
// for each function.
func (c *channelContext) AfterFunc(f func()) (stop func() bool) {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.reason != nil {
		ch.sess.endpoint().spawn(f)
		return func() bool { return false }
	}
	m := ch.more()
	// The pointer tells two registrations of one function apart.
	m.after = append(m.after, &f)
	return func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		for i, other := range m.after {
			if other == &f {
				m.after = append(m.after[:i:i], m.after[i+1:]...)
				return true
			}
		}
		return false
	}
}

// Err returns context.Canceled after the end, or context.DeadlineExceeded if the
// join has taken too long.
func (c *channelContext) Err() error {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.reason == ErrJoinTimeout:
		return context.DeadlineExceeded
	case ch.state >= ending || ch.reason != nil:
		return context.Canceled
	}
	return nil
}
