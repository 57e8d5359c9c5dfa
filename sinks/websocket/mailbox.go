package websocket

import (
	"slices"
	"sync"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The kinds of mail.
// Which fields of a mail are set depends on its kind.
const (
	mailIn     = iota // an event of the client
	mailLeave         // phx_leave
	mailOut           // an intercepted broadcast
	mailInfo          // a message of the program
	mailRenew         // new credentials of the client
	mailJoined        // the join has succeeded: the first mail of a JoinedHandler
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

// discard counts mails that will not be handled since their channel has ended, and
// logs what the client loses.
func (ch *Channel) discard(reason error, mails ...[]mail) {
	e := ch.sess.endpoint()
	var n [mailJoined + 1]int
	for _, list := range mails {
		for i := range list {
			n[list[i].kind]++
		}
	}
	e.discarded[discardedClosed].Add(int64(n[mailOut]))
	e.discarded[discardedUnhandled].Add(int64(n[mailIn] + n[mailInfo]))
	if n[mailIn] > 0 {
		e.log.Warn("messages not handled: the channel has ended", "socket", ch.sess.mount.kind.name,
			"channel", ch.route.pattern, "topic", clip(ch.topic), "messages", n[mailIn], "reason", reason)
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
		if ch.closed() {
			ch.mu.Unlock()
			return false
		}
		// A leave is never held up: there is at most one, and what comes after
		// it is refused.
		if ch.inbox.len() < limit || m.kind == mailLeave {
			start := ch.add(m)
			ch.mu.Unlock()
			if start {
				ch.sess.tr.lend(ch)
			}
			return true
		}
		r := ch.more()
		if r.room == nil {
			r.room = make(chan struct{})
		}
		room := r.room
		// Of a connection that has ended already, the going shows no more.
		if ch.sess.isClosing() {
			ch.giveTime(ErrClosed)
		}
		ch.mu.Unlock()
		// Without the mutex, which the handler's goroutine needs to make room. The
		// handler's progress and its end close room.
		if !ch.sess.wait(room, NoTimeout, func() { ch.clientGone(ErrClosed) }) {
			return false // the session ends, and with it the channel
		}
	}
}

// post puts a message of the program into the inbox, unless it is full.
func (ch *Channel) post(m mail) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.closed():
		return ErrNotJoined
	// Unlike take it never blocks: its caller may be the handler itself.
	case ch.inbox.len() >= ch.sess.mount.cfg.Limits.Inbox:
		return ErrQueueFull
	}
	if ch.add(m) {
		ch.sess.endpoint().runners.run(ch)
	}
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

// add appends to the inbox. If it returns true the caller must have the channel run. The
// mutex is held.
func (ch *Channel) add(m mail) (start bool) {
	if ch.inbox == nil {
		ch.inbox = inboxes.Get().(*inbox)
	}
	ch.inbox.mails = append(ch.inbox.mails, m)
	return ch.claim()
}

// addFirst is add before all that waits. The mutex is held.
func (ch *Channel) addFirst(m mail) {
	if ch.inbox == nil {
		ch.inbox = inboxes.Get().(*inbox)
	}
	ch.inbox.mails = slices.Insert(ch.inbox.mails, 0, m)
}

// ensureRunning starts the channel's goroutine if it does not run. The mutex is
// held.
func (ch *Channel) ensureRunning() {
	if ch.claim() {
		ch.sess.endpoint().runners.run(ch)
	}
}

// claim returns true if no goroutine works on the inbox: the caller must have the channel
// run. The mutex is held.
func (ch *Channel) claim() bool {
	if ch.running {
		return false
	}
	ch.running = true
	ch.sess.endpoint().work.add()
	return true
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
	if reason := ch.closing(); reason != nil && ch.inbox.len() == 0 && ch.state < ending {
		return nil, reason, true
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
