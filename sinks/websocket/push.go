package websocket

import (
	"sync"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// Push sends an event to this client. The payload is a JSON object, or
// [Binary]. Errors are [ErrNotJoined] before HandleJoin has returned and
// after the end, [ErrClosed], [ErrQueueFull], [ErrPayload], and those of the encoding.
func (ch *Channel) Push(event string, payload any) error {
	return ch.PushWritten(event, payload, nil)
}

// PushWritten is Push with a hook that is called exactly once: with a nil
// error and the time of it after the write that held the message returned, or
// with the error for which the message will never be written, which can be the
// one that PushWritten returns. A write has returned when the operating system
// has taken the bytes: the client has not necessarily read them.
//
// The hook runs in the goroutine that writes to this client, in the order of
// the pushes, or in another one if the message is discarded later. The caller
// may be the goroutine that writes, and calls the hook for an error that
// PushWritten returns: the hook has returned then when PushWritten does, so it
// must not wait for anything that the caller holds. It must be cheap and not
// block: the client's next messages wait for it. A Broadcast of the endpoint or of a
// channel could wait for this very goroutine: a hook calls their LocalBroadcast, or
// the Broadcast of [Endpoint.PubSub], which do not wait. A hook that ends its goroutine
// by runtime.Goexit, as the FailNow of tests does, costs the client its connection.
func (ch *Channel) PushWritten(event string, payload any, written func(at time.Time, err error)) error {
	it := &item{}
	if written != nil {
		it.written = hookFunc(written)
	}
	err := ch.push(event, payload, it)
	if err != nil {
		ch.sess.endpoint().tell(it, time.Now(), err)
	}
	return err
}

// push encodes and queues an event.
func (ch *Channel) push(event string, payload any, it *item) error {
	p, err := encodeObject(payload)
	if err != nil {
		return err
	}
	if it.wire, err = ch.sess.format.message(ch.joinRef, "", ch.topic, event, p); err != nil {
		return err
	}
	ch.class(it, event, p)
	return ch.queue(it)
}

// class sets the policy and the conflation key of an item as its channel is
// configured.
func (ch *Channel) class(it *item, event string, payload Payload) {
	c := &ch.route.cfg
	it.policy = c.Overflow
	if c.Conflate != nil {
		if key := ch.conflate(event, payload); key != "" {
			it.key = ch.topic + "\x00" + key
		}
	}
}

// queue queues an item unless the channel is being joined or is over. The caller
// holds no lock.
func (ch *Channel) queue(it *item) error {
	ch.mu.Lock()
	if ch.state == joining || ch.state == over || ch.muted {
		ch.mu.Unlock()
		return ErrNotJoined
	}
	wake, err := ch.sess.put(it)
	ch.mu.Unlock()
	if wake {
		ch.sess.tr.wake(true)
	}
	return err
}

// Ref identifies a message of the client, to reply to it later.
type Ref struct {
	ch  *Channel
	ref codec.Ref
}

// Ref returns the ref of the message that HandleIn is handling. The error is
// [ErrNoRef] outside of HandleIn and if the client did not send one. Only the
// handler may call it.
func (ch *Channel) Ref() (Ref, error) {
	if ch.current.IsNull() {
		return Ref{}, ErrNoRef
	}
	return Ref{ch: ch, ref: ch.current}, nil
}

// Reply sends a reply. Clients ignore all but the first reply to a message. It may
// be called from any goroutine.
func (r Ref) Reply(reply Reply) error {
	if r.ch == nil || reply.status == "" {
		return ErrNoRef
	}
	return r.ch.reply(r.ref, reply)
}

// reply encodes and queues a reply.
func (ch *Channel) reply(ref codec.Ref, r Reply) error {
	out := replies.Get().(*replyItem)
	w, err := ch.sess.replyWire(&out.buf, ch.joinRef, ref, ch.topic, r)
	if w == nil {
		out.free()
		return err
	}
	out.item = item{wire: w, control: true, written: out}
	if failed := ch.queue(&out.item); failed != nil {
		out.free()
		return failed
	}
	return err
}

// replyItem is a reply that is in one queue only. It is used again once it is written, or
// never will be.
type replyItem struct {
	item
	buf []byte
}

// maxReplyBuffer bounds the buffers that are kept.
const maxReplyBuffer = 1 << 10

var replies = sync.Pool{New: func() any { return &replyItem{} }}

// Report implements hook.
func (r *replyItem) Report(time.Time, error) { r.free() }

// free gives the reply back. Nothing refers to it any more.
func (r *replyItem) free() {
	r.item = item{}
	if cap(r.buf) > maxReplyBuffer {
		r.buf = nil
	}
	replies.Put(r)
}

// replyWire returns the frame of a reply, or an error. Of a reply that is too large
// it returns a [*TooLargeError] and the error reply that the client gets instead.
func (s *session) replyWire(buf *[]byte, joinRef, ref codec.Ref, topic string, r Reply) (wire, error) {
	w, err := s.format.reply(buf, joinRef, ref, topic, r)
	limit := s.mount.bounds.largest(true, 0)
	if err != nil || len(w) <= limit {
		return w, err
	}
	err = &TooLargeError{Bytes: len(w), Limit: limit}
	s.tooLarge("reply", err)
	w, _ = s.format.reply(buf, joinRef, ref, topic, replyTooLarge) // can be encoded, since r could
	return w, err
}
