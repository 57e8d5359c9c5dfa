package websocket

import (
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// join calls the handler's HandleJoin and replies to the client. It runs in the
// goroutine that reads; the channel counts as running, so that what is put into
// its inbox meanwhile waits.
func (ch *Channel) join(m codec.Message, old *Channel) {
	ch.running = true // no other goroutine has the channel yet
	w, missed, err := ch.admit(m)
	if err != nil {
		ch.refuse(m, old, err)
		return
	}
	// Counted when the handler has accepted, whatever the connection does next.
	ch.route.ok.Add(1)
	ch.sess.settled()
	ch.sess.endpoint().log.Debug("joined", "socket", ch.sess.mount.kind.name, "channel", ch.route.pattern, "topic", clip(ch.topic))

	ch.mu.Lock()
	defer ch.mu.Unlock()
	// Refused only if the connection closes: then the channel is told to end.
	_ = ch.sess.enqueue(&item{wire: w, control: true})
	ch.sess.closeOld(old)
	if ch.rare != nil {
		// Broadcasts since the subscription come after the reply, and before
		// any that finds the channel joined.
		ch.flushEarly()
	}
	// From here on broadcasts are queued as they come, under the same mutex.
	ch.state = joined
	if ch.route.cfg.Resume {
		ch.beginToFollow(missed)
	}
	ch.running = false
	if ch.inbox.len() > 0 || ch.reason != nil {
		ch.ensureRunning()
	}
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
	if err == nil && ch.route.cfg.Resume {
		response, missed, err = ch.resume(m, response)
	}
	if err == nil {
		w, err = ch.sess.replyWire(m.JoinRef, m.Ref, ch.topic, OK(response))
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
	ch.route.fail.Add(1)
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
	case errors.As(err, &large):
		reply = replyTooLarge // counted and logged
	default:
		ch.logCrash("join", err)
	}
	// Before the reply, so that no broadcast follows it.
	ch.detach(err)
	w, encodeErr := ch.sess.replyWire(m.JoinRef, m.Ref, ch.topic, reply)
	if w == nil {
		ch.logCrash("join", encodeErr)
		w, _ = replyWire(ch.sess.version, m.JoinRef, m.Ref, ch.topic, replyJoinCrashed) // can be encoded
	}
	_ = ch.sess.enqueue(&item{wire: w, control: true}) // refused only if the connection closes
	ch.sess.closeOld(old)
	ch.conclude(err, nil)
}

// callJoin makes the handler and asks it. Both are calls of the application.
func (ch *Channel) callJoin(p Payload) (reply any, err error) {
	defer crash.Catch(&err)
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
