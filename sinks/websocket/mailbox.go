package websocket

import (
	"sync"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The kinds of mail.
const (
	mailIn    = iota // an event of the client
	mailLeave        // phx_leave
	mailOut          // an intercepted broadcast
	mailInfo         // a message of the program
)

// mail is one thing for the handler to do.
type mail struct {
	kind    uint8
	ref     codec.Ref
	event   string
	payload Payload
	value   any
}

// discard tells whoever wants to know that the mail will not be handled.
func (m *mail) discard(reason error) {
	if d, ok := m.value.(Discardable); ok && m.kind == mailOut {
		d.Discarded(reason)
	}
}

var mailSlices = sync.Pool{New: func() any { s := make([]mail, 0, 8); return &s }}

func newInbox() []mail { return *mailSlices.Get().(*[]mail) }

func freeInbox(s []mail) {
	if s = s[:cap(s)]; len(s) > 0 && len(s) <= 64 {
		clear(s)
		s = s[:0]
		mailSlices.Put(&s)
	}
}

// take puts a message of the client into the inbox. If too much waits there it
// waits itself, and with it the reading of the connection: so the client is
// slowed by its own queue.
func (ch *Channel) take(m mail) {
	limit := ch.sess.mount.config.MaxInbox
	for {
		ch.mu.Lock()
		if ch.state >= ending || ch.reason != nil {
			ch.mu.Unlock()
			return
		}
		if len(ch.inbox) < limit || m.kind == mailLeave {
			ch.add(m)
			ch.mu.Unlock()
			return
		}
		r := ch.more()
		if r.room == nil {
			r.room = make(chan struct{})
		}
		room := r.room
		ch.mu.Unlock()
		<-room // closed by the handler's progress and by its end
	}
}

// post puts a message of the program into the inbox.
func (ch *Channel) post(m mail) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.state >= ending || ch.reason != nil:
		return ErrNotJoined
	case len(ch.inbox) >= ch.sess.mount.config.MaxInbox:
		return ErrQueueFull
	}
	ch.add(m)
	return nil
}

// posted is post for a broadcast; it answers whether the message was taken.
func (ch *Channel) posted(m mail) bool {
	err := ch.post(m)
	if err == ErrQueueFull {
		ch.sess.endpoint().discarded[discardedInboxFull].Add(1)
	}
	return err == nil
}

// add appends to the inbox and sees to it that it is worked on. The mutex is
// held.
func (ch *Channel) add(m mail) {
	if ch.inbox == nil {
		ch.inbox = newInbox()
	}
	ch.inbox = append(ch.inbox, m)
	ch.ensureRunning()
}

func (ch *Channel) ensureRunning() {
	if !ch.running {
		ch.running = true
		ch.sess.endpoint().work.add()
		go ch.run()
	}
}

// next takes the whole inbox. It answers false when there is nothing to do, and
// then the caller must not go on: another goroutine may.
func (ch *Channel) next(done []mail) (batch []mail, reason error, ok bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if done != nil {
		freeInbox(done)
	}
	if ch.reason != nil && ch.state < ending {
		return nil, ch.reason, true
	}
	if len(ch.inbox) == 0 || ch.state >= ending {
		ch.running = false
		return nil, nil, false
	}
	batch, ch.inbox = ch.inbox, nil
	ch.makeRoom()
	return batch, nil, true
}

func (ch *Channel) makeRoom() {
	if ch.rare != nil && ch.rare.room != nil {
		close(ch.rare.room)
		ch.rare.room = nil
	}
}

// end tells the channel to end. It does not wait: the handler may be at work.
func (ch *Channel) end(reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.reason != nil {
		return
	}
	ch.reason = reason
	ch.muted = reason == ErrDuplicateJoin
	ch.cancel()
	ch.makeRoom()
	if ch.state == joined {
		ch.ensureRunning()
	}
}

// cancel ends the context. The mutex is held.
func (ch *Channel) cancel() {
	if r := ch.rare; r != nil && r.done != nil {
		select {
		case <-r.done:
		default:
			close(r.done)
		}
	}
}

// stopping tells whether the handler shall not be called any more.
func (ch *Channel) stopping() (reason error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.reason
}
