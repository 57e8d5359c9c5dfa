package websocket

import (
	"errors"

	"github.com/penstock-go/penstock/pubsub"
)

// run works on the inbox until it is empty or the channel is over. At most one
// runs for a channel at a time, so that the handler's methods never overlap.
func (ch *Channel) run() {
	e := ch.sess.endpoint()
	normal := false
	defer func() {
		// A HandleTerminate that has done so has ended its channel.
		if !normal && !ch.isOver() {
			// The handler has called runtime.Goexit, which ends this goroutine.
			e.work.add()
			go func() {
				defer e.work.done()
				ch.terminate(&CrashError{Err: ErrGoexit}, nil, "")
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
			// Looked at before each mail, so that no event reaches a handler
			// after its end has been decided.
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

// isOver reports whether the channel has come to its end.
func (ch *Channel) isOver() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.state == over
}

// handle handles one mail and reports whether the channel is over. rest holds the
// mails that would have come next.
func (ch *Channel) handle(m *mail, rest []mail) bool {
	var reply Reply
	var err error
	switch m.kind {
	case mailLeave:
		ch.terminate(ErrLeft, rest, m.ref)
		return true
	case mailIn:
		if !ch.awaitRoom() {
			ch.discard(ch.stopping(), []mail{*m})
			ch.terminate(ch.stopping(), rest, "")
			return true
		}
		// Channel.Ref returns it while the handler runs, for a later reply.
		ch.current = m.ref
		reply, err = ch.callIn(m)
		ch.current = ""
		// A message without a ref expects no reply.
		if reply.status != "" && !m.ref.IsNull() {
			if rerr := ch.reply(m.ref, reply); rerr != nil && err == nil {
				err = rerr
			}
		}
	case mailOut:
		if ch.ends() {
			ch.discard(nil, []mail{*m}) // its client gets no more
			return false
		}
		err = ch.callOut(m)
	case mailInfo:
		err = ch.callInfo(m)
	case mailRenew:
		err = ch.callRenew(m)
	case mailJoined:
		err = ch.callJoined()
	}
	reason := reasonToEnd(err)
	if reason == nil {
		return false
	}
	// The end of the channel ends its context, with which a call of the handler has failed.
	var panicked *PanicError
	if stop := ch.stopping(); stop != nil && isContextError(err) && !errors.As(err, &panicked) {
		reason = stop
	}
	ch.terminate(reason, rest, "")
	return true
}

// reasonToEnd returns why the channel ends after a method of its handler has
// returned err, or nil if it goes on.
func reasonToEnd(err error) error {
	if err == nil { // the usual case allocates nothing
		return nil
	}
	var panicked *PanicError
	switch {
	case errors.As(err, &panicked): // whatever it wraps
		return &CrashError{Err: err}
	case goesOn(err):
		return nil
	case errors.Is(err, ErrStopped):
		return err
	}
	return &CrashError{Err: err}
}

// goesOn reports whether an error is about the connection or its load, so that the
// channel goes on.
func goesOn(err error) bool {
	for _, about := range []error{ErrQueueFull, ErrClosed, ErrNotJoined, ErrTooManyTasks} {
		if errors.Is(err, about) {
			return true
		}
	}
	var remote *pubsub.RemoteError // the clients of this node have the broadcast
	return errors.As(err, &remote) || isTooLarge(err)
}
