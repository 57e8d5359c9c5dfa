package websocket

import (
	"errors"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// terminate ends the channel: no broadcast reaches it any more, the client is
// told as the reason demands, in the order in which Phoenix does, and the
// handler terminates. It runs in the goroutine that runs the handler. A
// HandleTerminate that ends the goroutine does not keep the channel from its end.
func (ch *Channel) terminate(reason error, rest []mail, leave codec.Ref) {
	defer ch.conclude(reason, rest)
	// First of all, so that no broadcast follows the phx_close or phx_error.
	ch.detach(reason)
	var crashed *CrashError
	switch {
	case errors.As(reason, &crashed):
		ch.logCrash("channel", crashed.Err)
		// Phoenix tells the client after terminate, when the process is gone.
		defer ch.control(eventError, payloadCrash)
	case errors.Is(reason, ErrLeft):
		if !leave.IsNull() {
			_ = ch.reply(leave, OK(nil)) // refused only if the connection closes
		}
		ch.control(eventClose, payloadEmpty)
	case errors.Is(reason, ErrStopped):
		ch.control(eventClose, payloadEmpty)
	case errors.Is(reason, ErrKicked):
		ch.control(eventClose, payloadKicked)
	}
	// Otherwise the connection ends, or a new join has come.
	ch.callTerminate(reason)
}

// detach takes the channel out of everything that could reach it.
func (ch *Channel) detach(reason error) {
	ch.mu.Lock()
	// Under the mutex with the rest, so that Subscribe and timers cannot add more.
	ch.state = ending
	if ch.reason == nil {
		ch.reason = reason
	}
	ch.disown()
	ch.cancel()
	ch.makeRoom()
	sub := ch.sub
	if ch.rare != nil {
		for _, s := range ch.rare.subs {
			s.Unsubscribe()
		}
		ch.rare.subs = nil
		ch.rare.stopTimers()
		if ch.rare.late != nil {
			ch.rare.late.Stop()
		}
	}
	ch.mu.Unlock()
	// A nil one, of a join that was refused before it subscribed, is allowed.
	sub.Unsubscribe()
}

// conclude is the very end of a channel, also of one whose join was refused. Only
// now its topic can be joined again without waiting.
func (ch *Channel) conclude(reason error, rest []mail) {
	e := ch.sess.endpoint()
	// First: a join that waits for over must not find this channel again, neither in the
	// endpoint's number nor in the session. In this order, since makeWay refuses what is
	// full without a channel that ends.
	e.channels.Add(-1)
	ch.sess.remove(ch)
	ch.mu.Lock()
	ch.state, ch.running = over, false
	if ch.rare != nil && ch.rare.tasks > 0 {
		e.stragglers.add(ch) // until runTask removes it
		ch.watchEnd()
	} else {
		e.stragglers.remove(ch)
		ch.unhang()
		if ch.rare != nil && ch.rare.late != nil {
			ch.rare.late.Stop()
		}
	}
	inbox := ch.inbox
	ch.inbox = nil
	if ch.rare != nil && ch.rare.over != nil {
		close(ch.rare.over)
	}
	ch.mu.Unlock()
	if inbox != nil {
		ch.discard(reason, rest, inbox.mails)
		inbox.free()
	} else if len(rest) > 0 {
		ch.discard(reason, rest)
	}
	e.work.done()
}

// await waits until the channel is over, for the grace time at the longest. After
// that nothing reaches it any more, and nothing that it still does reaches the
// client: a new join can take its place. It returns as well when the session begins
// to end.
func (ch *Channel) await() {
	ch.mu.Lock()
	if ch.state == over {
		ch.mu.Unlock()
		return
	}
	r := ch.more()
	if r.over == nil {
		r.over = make(chan struct{})
	}
	done := r.over
	ch.mu.Unlock()
	if ch.sess.wait(done, grace, nil) || ch.sess.isDeaf() {
		return
	}
	ch.abandon()
	ch.hang()
}

// abandon takes a channel whose handler hangs out of everything.
func (ch *Channel) abandon() {
	ch.cut(ErrDuplicateJoin) // does nothing if it has been told to end at once
	ch.mu.Lock()
	ch.muted = true
	sub := ch.sub
	ch.mu.Unlock()
	sub.Unsubscribe()
	ch.sess.mu.Lock()
	ch.abandoned = true
	ch.sess.mu.Unlock()
}

// control sends phx_close or phx_error.
func (ch *Channel) control(event string, p codec.Payload) {
	if w := ch.controlWire(event, p); w != nil {
		_ = ch.queue(&item{wire: w, control: true}) // refused only if the connection closes
	}
}

// controlWire returns the frame of phx_close or phx_error, whose ref is the join
// ref.
func (ch *Channel) controlWire(event string, p codec.Payload) wire {
	ref := ch.joinRef
	// Version 1 has no join refs: a null is sent.
	if ch.nullJoin {
		ref = ""
	}
	w, err := ch.sess.format.message(ref, ref, ch.topic, event, p)
	if err != nil {
		ch.logCrash("control message", err)
	}
	return w
}
