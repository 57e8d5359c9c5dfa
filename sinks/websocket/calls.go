package websocket

import (
	"context"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// grace is how long a handler may take to come to its end.
const grace = 5 * time.Second

// The calls of a handler's methods. A panic is an error, a *PanicError.

// callIn passes on an event of the client. Its error crashes the channel if the
// handler takes no events.
func (ch *Channel) callIn(m *mail) (r Reply, err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingIn)
	h, ok := ch.handler.(InHandler)
	if !ok {
		return Reply{}, fmt.Errorf("%T has no HandleIn", ch.handler)
	}
	return h.HandleIn((*channelContext)(ch), ch, m.event, m.payload)
}

// callOut passes on an intercepted broadcast. The join has checked that the
// handler is an OutHandler.
func (ch *Channel) callOut(m *mail) (err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingOut)
	return ch.handler.(OutHandler).HandleOut((*channelContext)(ch), ch, m.event, m.payload)
}

// callJoined calls HandleJoined of the handler, which is a JoinedHandler.
func (ch *Channel) callJoined() (err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingJoined)
	return ch.handler.(JoinedHandler).HandleJoined((*channelContext)(ch), ch)
}

// callInfo passes on a message of the program, or logs that the handler takes none.
func (ch *Channel) callInfo(m *mail) (err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingInfo)
	h, ok := ch.handler.(InfoHandler)
	if !ok {
		ch.sess.endpoint().log.Warn("message for a channel without HandleInfo",
			"channel", ch.route.pattern, "type", fmt.Sprintf("%T", m.value))
		return nil
	}
	return h.HandleInfo((*channelContext)(ch), ch, m.value)
}

// callRenew passes on new credentials, which are put into the inbox only of a
// RenewHandler.
func (ch *Channel) callRenew(m *mail) (err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingRenew)
	return ch.handler.(RenewHandler).HandleRenew((*channelContext)(ch), ch, m.value)
}

// callTerminate ends the handler. Its context ends after the grace time. A panic
// is logged only, since the channel has ended, and so is runtime.Goexit, which
// ends the goroutine: what must come after it is deferred by the caller.
func (ch *Channel) callTerminate(reason error) {
	h, ok := ch.handler.(TerminateHandler)
	if !ok {
		return
	}
	defer ch.idle()
	ch.busy(doingTerminate)
	ch.mu.Lock()
	ch.watchEnd() // conclude stops it
	ch.mu.Unlock()
	// The channel's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := ErrGoexit // unless HandleTerminate returns or panics
	defer func() {
		if err != nil {
			ch.logCrash("terminate", err)
		}
	}()
	func() {
		defer crash.Catch(&err)
		h.HandleTerminate(ctx, ch, reason)
		err = nil
	}()
}

// conflate asks the application for the key of an event. Its panic must not
// reach the caller of Broadcast.
func (ch *Channel) conflate(event string, payload Payload) string {
	key := ""
	var err error
	func() {
		defer crash.Catch(&err)
		key = ch.route.cfg.Conflate(event, payload)
	}()
	if err != nil {
		ch.logCrash("conflate", err)
	}
	return key
}

// logCrash logs a crash with the channel in which it happened.
func (ch *Channel) logCrash(what string, err error) {
	ch.sess.endpoint().logCrash(what, err, "socket", ch.sess.mount.kind.name, "channel", ch.route.pattern)
}

// logCrash logs what the application's code has failed with.
func (e *Endpoint) logCrash(what string, err error, args ...any) {
	e.crashes.Add(1)
	e.log.Error(what+" crashed", append(args, "error", err, "stack", crash.StackOf(err))...)
}
