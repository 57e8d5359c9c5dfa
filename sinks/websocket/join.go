package websocket

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// join lets the handler decide about a join, in a goroutine of its own, and
// waits for it in the goroutine that reads: for Timeouts.Join, and no longer than
// the connection lasts. The channel counts as running since it was made, so that what
// is put into its inbox waits. old is the channel that this one replaces, or nil.
func (ch *Channel) join(m codec.Message, old *Channel) {
	done := make(chan struct{})
	go func() {
		// Last, also if the handler ends this goroutine.
		defer close(done)
		ch.decide(m, old)
	}()
	// A client that has gone ends the context of the handler, not yet the
	// connection: what it has sent before is still handled.
	gone := func() { ch.end(ErrClosed) }
	// A session that begins to end also ends its channels, perhaps a little later.
	if ch.sess.wait(done, ch.sess.mount.cfg.Timeouts.Join, gone) || ch.sess.isDeaf() || !ch.timeOut() {
		return
	}
	ch.route.fail.Add(1)
	ch.sess.endpoint().log.Warn("join timed out", "socket", ch.sess.mount.kind.name,
		"channel", ch.route.pattern, "topic", clip(ch.topic), "after", ch.sess.mount.cfg.Timeouts.Join)
	ch.sess.reply(m.JoinRef, m.Ref, m.Topic, replyTimeout)
	ch.sess.closeOld(old)
}

// decide calls the handler and replies to the client.
func (ch *Channel) decide(m codec.Message, old *Channel) {
	normal := false
	defer func() {
		if !normal { // the handler has called runtime.Goexit
			ch.refuse(m, old, ErrGoexit)
		}
	}()
	w, missed, err := ch.admit(m)
	normal = true
	if err != nil {
		ch.refuse(m, old, err)
		return
	}
	ch.mu.Lock()
	if ch.reason == ErrJoinTimeout {
		// The client has its reply. The handler has accepted, and so terminates.
		ch.state, ch.running = joined, false
		ch.ensureRunning()
		ch.mu.Unlock()
		return
	}
	defer ch.mu.Unlock()
	// Counted when the handler has accepted, whatever the connection does next.
	ch.route.ok.Add(1)
	ch.sess.settled()
	ch.sess.endpoint().log.Debug("joined", "socket", ch.sess.mount.kind.name, "channel", ch.route.pattern, "topic", clip(ch.topic))
	if ch.reason == nil { // otherwise the client has gone: see refuse
		// Refused only if the connection closes: then the channel is told to end.
		_ = ch.sess.enqueue(&item{wire: w, control: true})
		ch.sess.closeOld(old)
	}
	if ch.rare != nil {
		// Broadcasts since the subscription come after the reply, and before
		// any that finds the channel joined.
		ch.flushEarly()
	}
	// From here on broadcasts are queued as they come, under the same mutex.
	ch.state = joined
	if ch.route.cfg.Resume && ch.reason == nil {
		ch.beginToFollow(missed)
	}
	if _, ok := ch.handler.(JoinedHandler); ok && ch.reason == nil {
		ch.addFirst(mail{kind: mailJoined})
	}
	ch.running = false
	if ch.inbox.len() > 0 || ch.reason != nil {
		ch.ensureRunning()
	}
}

// timeOut ends a channel whose handler has not decided in time. It returns false
// if the handler has, or if the channel ends for another reason.
func (ch *Channel) timeOut() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state != joining || ch.reason != nil {
		return false
	}
	ch.endLocked(ErrJoinTimeout)
	return true
}

// admit asks the handler, subscribes to the topic and returns the reply. On a
// resumable topic it also returns the records that the client has missed.
func (ch *Channel) admit(m codec.Message) (w wire, missed []pubsub.Record, err error) {
	// A resumable channel has its subscription before the handler runs, so that the
	// history knows what the handler broadcasts to the others as its own.
	if ch.route.cfg.Resume {
		if err := ch.prepare(); err != nil {
			return nil, nil, err
		}
	}
	// The handler runs before the subscription begins, so that a client that it
	// refuses never gets a broadcast.
	response, err := ch.callJoin(Payload{Data: m.Payload, Binary: m.Binary})
	ch.accepted = err == nil
	if err != nil || ch.stopping() != nil {
		return nil, nil, err // a channel that ends neither replies nor subscribes
	}
	if ch.route.cfg.Resume {
		response, missed, err = ch.resume(m, response)
	}
	if err == nil {
		w, err = ch.sess.replyWire(nil, m.JoinRef, m.Ref, ch.topic, OK(response))
	}
	// Last, since only it leaves something that must be undone. A resumable channel
	// has been subscribed by resume.
	if err == nil && !ch.route.cfg.Resume {
		err = ch.subscribe()
	}
	return w, missed, err
}

// beginToFollow sends the client of a resumable channel what it has missed,
// unless the history was lost meanwhile. The mutex is held.
func (ch *Channel) beginToFollow(missed []pubsub.Record) {
	if at := ch.rare.place; at.lost || (at.heard != "" && at.heard != at.epoch) {
		at.lost = false
		ch.giveUp()
	} else if ch.replay(missed) {
		ch.pull()
	}
}

// prepare makes the subscription of a resumable channel, which gets nothing until
// resume begins it.
func (ch *Channel) prepare() error {
	sub, err := ch.sess.endpoint().hub.Prepare(ch.topic, (*receiver)(ch))
	if err != nil {
		return err
	}
	ch.mu.Lock()
	ch.sub = sub
	ch.mu.Unlock()
	return nil
}

// subscribe subscribes the channel to its topic.
func (ch *Channel) subscribe() error {
	// Deliver can run before ch.sub is set: it does not use it while joining.
	sub, err := ch.sess.endpoint().hub.Subscribe(ch.topic, (*receiver)(ch))
	if err != nil {
		return err
	}
	ch.mu.Lock()
	ch.sub = sub
	ch.mu.Unlock()
	return nil
}

// refuse replies to a join that is refused, or that has crashed, and ends the
// channel.
func (ch *Channel) refuse(m codec.Message, old *Channel, err error) {
	// Set when the join was no longer waited for: then an error is expected.
	ended := ch.stopping()
	reply := replyJoinCrashed
	// Only the application's own refusal reaches the client with its text. Any other
	// error, and a panic in any form, shows nothing but "join crashed".
	var refused *RefusedError
	var panicked *PanicError
	var large *TooLargeError
	switch {
	case errors.As(err, &panicked):
		ch.logCrash("join", err)
	case errors.As(err, &refused):
		reply = Fail(refused.Response)
		ch.sess.rejected(rejectedJoin, ch.topic, "channel", ch.route.pattern)
	case errors.As(err, &large):
		reply = replyTooLarge // counted and logged
	case ended == ErrKicked && isContextError(err):
		reply = replyKicked
	case ended == nil || !isContextError(err):
		ch.logCrash("join", err)
	}
	// Before the reply, so that no broadcast follows it.
	ch.detach(err)
	if ended != ErrJoinTimeout { // which has been counted
		ch.route.fail.Add(1)
	}
	// Otherwise the client has its reply or has gone. A write that fails would end
	// the connection before all that the client has sent is handled.
	if ended == nil || ended == ErrKicked {
		w, encodeErr := ch.sess.replyWire(nil, m.JoinRef, m.Ref, ch.topic, reply)
		if w == nil {
			ch.logCrash("join", encodeErr)
			w, _ = ch.sess.format.reply(nil, m.JoinRef, m.Ref, ch.topic, replyJoinCrashed) // can be encoded
		}
		_ = ch.sess.enqueue(&item{wire: w, control: true}) // refused only if the connection closes
		ch.sess.closeOld(old)
	}
	// Also if HandleTerminate ends the goroutine.
	defer ch.conclude(err, nil)
	if ch.accepted { // what failed came after HandleJoin, which may hold something
		ch.callTerminate(&CrashError{Err: err})
	}
}

// isContextError reports whether err is that of a context that has ended.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// callJoin makes the handler and asks it. Both are calls of the application.
func (ch *Channel) callJoin(p Payload) (reply any, err error) {
	defer crash.Catch(&err)
	defer ch.idle()
	ch.busy(doingJoin)
	// A nil handler is a mistake of the program: the client sees a crashed join.
	ch.handler = ch.route.new(ch.sess.state, ch.topic)
	if ch.handler == nil {
		return nil, errors.New("no handler for the topic")
	}
	if _, ok := ch.handler.(OutHandler); !ok && len(ch.route.cfg.Intercept) > 0 {
		return nil, fmt.Errorf("%T has no HandleOut for what its channel intercepts", ch.handler)
	}
	return ch.handler.HandleJoin((*channelContext)(ch), ch, p)
}
