package websocket

import (
	"errors"
	"time"
)

// A channel ends in one of two ways. After what waits: what was read from the client,
// and what the program has sent, is handled in order, as in Phoenix, where it is in
// the mailbox of the channel's process before the news of the transport's end. That
// takes the grace time at the longest. At once: the method that runs is the last one,
// and its context has ended.

// end makes the channel end after what waits, or at once if the client has lost its
// rights. It does not wait for the handler, which may be at work.
func (ch *Channel) end(reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.state >= ending || ch.reason != nil:
	case ch.state == joining || revokes(reason) || !ch.running && ch.inbox.len() == 0:
		ch.endLocked(reason)
	case ch.closing() == nil:
		r := ch.more()
		r.closing = reason
		ch.silence(reason)
		ch.giveTime(reason)
	}
}

// cut makes the channel end at once.
func (ch *Channel) cut(reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state < ending && ch.reason == nil {
		ch.endLocked(reason)
	}
}

// endLocked is cut of a channel that has no reason to end at once yet. The mutex is
// held.
func (ch *Channel) endLocked(reason error) {
	ch.reason = reason
	ch.silence(reason)
	ch.cancel()
	ch.makeRoom()
	if ch.running {
		ch.watchEnd()
	}
	// Before that the goroutine of the join sees the reason when it is done.
	if ch.state == joined {
		ch.ensureRunning()
	}
}

// revokes reports whether the client has lost its rights: what it has sent before is
// not handled.
func revokes(reason error) bool {
	return errors.Is(reason, ErrDisconnected) || errors.Is(reason, ErrKicked) || errors.Is(reason, ErrExpired)
}

// silence keeps from the client what it must not get from a channel that ends. The
// mutex is held.
func (ch *Channel) silence(reason error) {
	// The client has been told, or will be: the new join of the topic sends the
	// phx_close of this channel, in closeOld.
	ch.muted = ch.muted || reason == ErrDuplicateJoin || reason == ErrJoinTimeout
	ch.disown()
}

// giveTime makes the channel end at once after the grace time, unless it is over
// before. The first call counts. The mutex is held.
func (ch *Channel) giveTime(reason error) {
	if r := ch.more(); r.late == nil {
		r.late = time.AfterFunc(grace, func() { ch.cut(reason) })
	}
}

// clientGone notes that the client has gone, though not all that it has sent was
// passed on yet. What the handler is at has the grace time from now on.
func (ch *Channel) clientGone(reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.state >= ending || ch.reason != nil:
	case ch.state == joining:
		ch.endLocked(reason)
	case ch.running || ch.inbox.len() > 0:
		ch.giveTime(reason)
	}
}

// cancel ends the context. The mutex is held.
func (ch *Channel) cancel() {
	r := ch.rare
	if r == nil {
		return
	}
	if r.done != nil {
		// end and detach may both cancel: the second finds it closed.
		select {
		case <-r.done:
		default:
			close(r.done)
		}
	}
	// Each in a goroutine of its own, since the mutex is held.
	for _, f := range r.after {
		ch.sess.endpoint().spawn(*f)
	}
	r.after = nil
}

// stopping returns why the handler must not be called any more, or nil.
func (ch *Channel) stopping() (reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.reason
}

// closing returns why the channel ends after what waits, or nil. The mutex is held.
func (ch *Channel) closing() error {
	if ch.rare == nil {
		return nil
	}
	return ch.rare.closing
}

// closed reports whether nothing more is taken: the channel ends, in whatever way,
// or has ended. The mutex is held.
func (ch *Channel) closed() bool {
	return ch.state >= ending || ch.reason != nil || ch.closing() != nil
}

// ends is closed without the mutex.
func (ch *Channel) ends() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.closed()
}

// why returns why the channel ends or has ended, or nil.
func (ch *Channel) why() error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.reason != nil {
		return ch.reason
	}
	return ch.closing()
}
