package websocket

import (
	"sync"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The kinds of mail.
// Which fields of a mail are set depends on its kind.
const (
	mailIn    = iota // an event of the client
	mailLeave        // phx_leave
	mailOut          // an intercepted broadcast
	mailInfo         // a message of the program
	mailRenew        // new credentials of the client
)

// mail is one thing for the handler to do.
type mail struct {
	kind uint8
	// mailIn and mailLeave only: the message to reply to.
	ref codec.Ref
	// mailIn and mailOut only, as is payload.
	event   string
	payload Payload
	value   any // mailInfo: the message; mailRenew: the new state
}

// discard counts the intercepted broadcasts among mails that will not be handled.
func (e *Endpoint) discard(mails []mail) {
	for i := range mails {
		if mails[i].kind == mailOut {
			e.discarded[discardedClosed].Add(1)
		}
	}
}

// inbox holds what waits for a handler, in order. A channel has one only while
// something waits, guarded by Channel.mu; the goroutine that runs takes it whole.
type inbox struct{ mails []mail }

var inboxes = sync.Pool{New: func() any { return &inbox{mails: make([]mail, 0, 4)} }}

// len returns how many mails wait. A nil inbox is empty.
func (b *inbox) len() int {
	if b == nil {
		return 0
	}
	return len(b.mails)
}

// free returns the inbox to the pool, unless it has grown large.
func (b *inbox) free() {
	if b != nil && cap(b.mails) <= 64 {
		clear(b.mails)
		b.mails = b.mails[:0]
		inboxes.Put(b)
	}
}

// take puts a message of the client into the inbox. It returns false if the channel
// ends or has ended. It blocks while the inbox is full, and with it the reading of
// the connection: a client is slowed down by its own queue.
func (ch *Channel) take(m mail) bool {
	limit := ch.sess.mount.cfg.Limits.Inbox
	for {
		ch.mu.Lock()
		if ch.state >= ending || ch.reason != nil {
			ch.mu.Unlock()
			return false
		}
		// A leave is never held up: there is at most one, and what comes after
		// it is refused.
		if ch.inbox.len() < limit || m.kind == mailLeave {
			ch.add(m)
			ch.mu.Unlock()
			return true
		}
		r := ch.more()
		if r.room == nil {
			r.room = make(chan struct{})
		}
		room := r.room
		ch.mu.Unlock()
		// Without the mutex, which the handler's goroutine needs to make room. The
		// handler's progress and its end close room.
		ch.sess.wait(room, NoTimeout, func() { ch.end(ErrClosed) })
	}
}

// post puts a message of the program into the inbox, unless it is full.
func (ch *Channel) post(m mail) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.state >= ending || ch.reason != nil:
		return ErrNotJoined
	// Unlike take it never blocks: its caller may be the handler itself.
	case ch.inbox.len() >= ch.sess.mount.cfg.Limits.Inbox:
		return ErrQueueFull
	}
	ch.add(m)
	return nil
}

// posted is post for a broadcast. It counts a full inbox, and reports whether the
// message was taken.
func (ch *Channel) posted(m mail) bool {
	err := ch.post(m)
	if err == ErrQueueFull {
		ch.sess.endpoint().discarded[discardedInboxFull].Add(1)
	}
	return err == nil
}

// add appends to the inbox and ensures that a goroutine works on it. The mutex is
// held.
func (ch *Channel) add(m mail) {
	if ch.inbox == nil {
		ch.inbox = inboxes.Get().(*inbox)
	}
	ch.inbox.mails = append(ch.inbox.mails, m)
	ch.ensureRunning()
}

// ensureRunning starts the channel's goroutine if it does not run. The mutex is
// held.
func (ch *Channel) ensureRunning() {
	if !ch.running {
		ch.running = true
		ch.sess.endpoint().work.add()
		go ch.run()
	}
}

// next takes the whole inbox, or returns the reason to end. It returns false if
// there is nothing to do; then the caller must return, since another goroutine
// may run now.
func (ch *Channel) next() (batch *inbox, reason error, ok bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.reason != nil && ch.state < ending {
		return nil, ch.reason, true
	}
	if ch.inbox.len() == 0 || ch.state >= ending {
		ch.running = false
		return nil, nil, false
	}
	// The whole inbox is taken at once, so that its room is free before any of it
	// has been handled.
	batch, ch.inbox = ch.inbox, nil
	ch.makeRoom()
	return batch, nil, true
}

// makeRoom wakes the reader that waits for room in the inbox. The mutex is held.
func (ch *Channel) makeRoom() {
	if ch.rare != nil && ch.rare.room != nil {
		close(ch.rare.room)
		ch.rare.room = nil
	}
}

// end makes the channel end. It does not wait for the handler, which may be at
// work.
func (ch *Channel) end(reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state < ending && ch.reason == nil {
		ch.endLocked(reason)
	}
}

// endLocked is end of a channel that has no reason to end yet. The mutex is held.
func (ch *Channel) endLocked(reason error) {
	ch.reason = reason
	// The client has been told, or will be: the new join of the topic sends the
	// phx_close of this channel, in closeOld.
	ch.muted = reason == ErrDuplicateJoin || reason == ErrJoinTimeout
	ch.disown()
	ch.cancel()
	ch.makeRoom()
	// Before that the goroutine of the join sees the reason when it is done.
	if ch.state == joined {
		ch.ensureRunning()
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

// ends reports whether the channel ends or has ended.
func (ch *Channel) ends() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.state >= ending || ch.reason != nil
}
