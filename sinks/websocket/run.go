package websocket

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// grace is how long anybody waits for a handler to come to its end.
const grace = 5 * time.Second

// run works on the inbox until it is empty or the channel over. There is at
// most one run for a channel at a time: that is what makes handlers serial.
func (ch *Channel) run() {
	e := ch.sess.endpoint()
	normal := false
	defer func() {
		if !normal {
			// A handler has called runtime.Goexit: its goroutine is gone.
			e.work.add()
			go func() {
				defer e.work.done()
				ch.terminate(&CrashError{Err: errors.New("handler called runtime.Goexit")}, nil, "")
			}()
		}
		e.work.done()
	}()
	for over := false; !over; {
		batch, reason, ok := ch.next()
		if !ok {
			break
		}
		if reason != nil {
			ch.terminate(reason, nil, "")
			break
		}
		mails := batch.mails
		for i := range mails {
			if reason := ch.stopping(); reason != nil {
				ch.terminate(reason, mails[i:], "")
				over = true
				break
			}
			if over = ch.handle(&mails[i], mails[i+1:]); over {
				break
			}
		}
		batch.free()
	}
	normal = true
}

// handle does one thing and answers whether the channel is over; rest is what
// would have come next.
func (ch *Channel) handle(m *mail, rest []mail) bool {
	var reply Reply
	var err error
	switch m.kind {
	case mailLeave:
		ch.terminate(ErrLeft, rest, m.ref)
		return true
	case mailIn:
		ch.current = m.ref
		reply, err = ch.callIn(m)
		ch.current = ""
		if reply.status != "" && !m.ref.IsNull() {
			if rerr := ch.reply(m.ref, reply); rerr != nil && err == nil {
				err = rerr
			}
		}
	case mailOut:
		err = ch.callOut(m)
	case mailInfo:
		err = ch.callInfo(m)
	case mailRenew:
		err = ch.callRenew(m)
	}
	if err == nil {
		return false
	}
	var crash *CrashError
	switch {
	case errors.As(err, &crash):
		ch.terminate(crash, rest, "")
	case goesOn(err):
		return false
	case errors.Is(err, ErrStopped):
		ch.terminate(err, rest, "")
	default:
		ch.terminate(&CrashError{Err: err}, rest, "")
	}
	return true
}

func (ch *Channel) callIn(m *mail) (r Reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crashOf(v)
		}
	}()
	h, ok := ch.handler.(InHandler)
	if !ok {
		return Reply{}, fmt.Errorf("%T has no HandleIn", ch.handler)
	}
	return h.HandleIn((*channelContext)(ch), ch, m.event, m.payload)
}

func (ch *Channel) callOut(m *mail) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crashOf(v)
		}
	}()
	return ch.handler.(OutHandler).HandleOut((*channelContext)(ch), ch, m.event, m.payload)
}

func (ch *Channel) callInfo(m *mail) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crashOf(v)
		}
	}()
	h, ok := ch.handler.(InfoHandler)
	if !ok {
		ch.sess.endpoint().log.Warn("message for a channel without HandleInfo",
			"channel", ch.route.pattern, "type", fmt.Sprintf("%T", m.value))
		return nil
	}
	return h.HandleInfo((*channelContext)(ch), ch, m.value)
}

func (ch *Channel) callRenew(m *mail) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crashOf(v)
		}
	}()
	return ch.handler.(RenewHandler).HandleRenew((*channelContext)(ch), ch, m.value)
}

func (ch *Channel) callTerminate(reason error) {
	h, ok := ch.handler.(TerminateHandler)
	if !ok {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			ch.logCrash("terminate", crashOf(v))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	h.HandleTerminate(ctx, ch, reason)
}

// terminate ends the channel: no broadcast reaches it any more, the client is
// told as the reason demands, in the order in which Phoenix does, and the
// handler terminates. It runs in the goroutine that runs the handler.
func (ch *Channel) terminate(reason error, rest []mail, leave codec.Ref) {
	ch.detach(reason)
	var crash *CrashError
	switch {
	case errors.As(reason, &crash):
		ch.logCrash("channel", crash)
		ch.callTerminate(crash)
		ch.control(eventError, payloadCrash)
	case errors.Is(reason, ErrLeft):
		if !leave.IsNull() {
			_ = ch.reply(leave, OK(nil)) // refused only if the connection closes
		}
		ch.control(eventClose, payloadEmpty)
		ch.callTerminate(ErrLeft)
	case errors.Is(reason, ErrStopped):
		ch.control(eventClose, payloadEmpty)
		ch.callTerminate(reason)
	default: // the connection ends, or a new join has come
		ch.callTerminate(reason)
	}
	ch.conclude(reason, rest)
}

// detach takes the channel out of everything that could reach it.
func (ch *Channel) detach(reason error) {
	ch.mu.Lock()
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
	}
	ch.mu.Unlock()
	sub.Unsubscribe()
	ch.sess.remove(ch)
}

// conclude is the very end of a channel, also of one whose join was refused.
func (ch *Channel) conclude(reason error, rest []mail) {
	ch.mu.Lock()
	ch.state, ch.running = over, false
	inbox := ch.inbox
	ch.inbox = nil
	if ch.rare != nil && ch.rare.over != nil {
		close(ch.rare.over)
	}
	ch.mu.Unlock()
	e := ch.sess.endpoint()
	e.discard(rest)
	if inbox != nil {
		e.discard(inbox.mails)
		inbox.free()
	}
	e.channels.Add(-1)
	e.work.done()
}

// await waits until the channel is over, for the grace time at the longest.
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
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		ch.sess.endpoint().log.Warn("handler does not end", "channel", ch.route.pattern, "waited", grace)
		ch.sess.remove(ch) // a new join takes the place; what the old one still does is muted
	}
}

// control sends phx_close or phx_error.
func (ch *Channel) control(event string, p codec.Payload) {
	if w := ch.controlWire(event, p); w != nil {
		_ = ch.queue(&item{wire: w, control: true}) // refused only if the connection closes
	}
}

func (ch *Channel) controlWire(event string, p codec.Payload) wire {
	ref := ch.joinRef
	if ch.nullJoin {
		ref = ""
	}
	w, err := messageWire(ch.sess.version, ref, ref, ch.topic, event, p)
	if err != nil {
		ch.logCrash("control message", &CrashError{Err: err})
	}
	return w
}

func (ch *Channel) logCrash(what string, crash *CrashError) {
	ch.sess.endpoint().log.Error(what+" crashed", "socket", ch.sess.mount.kind.name,
		"channel", ch.route.pattern, "error", crash.Err, "stack", string(crash.Stack))
}

// crashOf makes an error of the value of a panic. It must be called while the
// panicking goroutine unwinds, for the stack to be that of the panic.
func crashOf(v any) *CrashError {
	err, ok := v.(error)
	if !ok {
		err = fmt.Errorf("panic: %v", v)
	}
	return &CrashError{Err: err, Stack: debug.Stack()}
}

// goesOn reports whether an error of a handler is about the connection or its
// load, so that the channel goes on.
func goesOn(err error) bool {
	for _, about := range []error{ErrQueueFull, ErrClosed, ErrNotJoined, ErrTooManyTasks} {
		if errors.Is(err, about) {
			return true
		}
	}
	return false
}
