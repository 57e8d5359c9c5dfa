package websocket

import (
	"context"
	"sync"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The states of a channel.
const (
	joining = iota
	joined
	ending // no handler is called any more but Terminate
	over
)

// Channel is a joined topic of one client: what a [Handler] pushes and
// broadcasts with. All methods may be called from any goroutine, and from the
// handler itself, and none waits for the client.
//
// A channel has a goroutine only while there is something for its handler to
// do.
type Channel struct {
	sess    *session
	route   *route
	handler Handler
	topic   string
	joinRef codec.Ref // the join's ref if it had no join ref
	sub     *pubsub.Subscription

	nullJoin bool // the join had no join ref
	leaving  bool // owned by the goroutine that reads

	mu      sync.Mutex
	state   uint8
	running bool // a goroutine works on the inbox, or the join
	muted   bool // a new join has taken the place
	reason  error
	inbox   *inbox // nil while nothing waits
	rare    *rare

	current codec.Ref // of the message being handled; owned by the goroutine that runs
}

// rare is what most channels do not have most of the time.
type rare struct {
	early  []*item                         // broadcasts during the join
	room   chan struct{}                   // closed when the inbox was taken
	over   chan struct{}                   // closed when the channel is over
	done   chan struct{}                   // of the context
	after  []*func()                       // of context.AfterFunc
	subs   map[string]*pubsub.Subscription // further topics
	place  *place                          // in the history; of resumable channels
	tasks  int                             // that run
	timers map[*alarm]bool                 // that run
}

// more answers rare, which it makes if need be. The mutex is held.
func (ch *Channel) more() *rare {
	if ch.rare == nil {
		ch.rare = &rare{}
	}
	return ch.rare
}

// Topic is the topic that was joined.
func (ch *Channel) Topic() string { return ch.topic }

// SocketID is the id of the socket, or "".
func (ch *Channel) SocketID() string { return ch.sess.id }

// Context ends when the channel does.
func (ch *Channel) Context() context.Context { return (*channelContext)(ch) }

// Push sends an event to this client. The payload is a JSON object, or
// [Binary]. Errors are [ErrNotJoined] before Join has returned and after the
// end, [ErrClosed], [ErrQueueFull], [ErrPayload], and those of the encoding.
func (ch *Channel) Push(event string, payload any) error {
	return ch.PushWritten(event, payload, nil)
}

// PushWritten is Push with a hook that is called exactly once: with a nil
// error and the time of it after the write that held the message returned, or
// with the error for which the message will never be written, which can be the
// one that PushWritten answers. A write has returned when the operating system
// has taken the bytes: the client has not necessarily read them.
//
// The hook runs in the goroutine that writes to this client, in the order of
// the pushes, and in another one for a message given up later. The caller itself
// may be the one that writes, and is for an error that PushWritten answers: then
// the hook has returned when PushWritten does, so it must not wait for anything
// the caller holds. It must be cheap and not block: the client's next messages
// wait for it.
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

func (ch *Channel) push(event string, payload any, it *item) error {
	p, err := encodeObject(payload)
	if err != nil {
		return err
	}
	if it.wire, err = messageWire(ch.sess.version, ch.joinRef, "", ch.topic, event, p); err != nil {
		return err
	}
	ch.class(it, event, p)
	return ch.queue(it)
}

// class notes how the item may be treated, as its channel says.
func (ch *Channel) class(it *item, event string, payload Payload) {
	c := &ch.route.cfg
	it.policy = c.Overflow
	if c.Conflate != nil {
		if key := ch.conflate(event, payload); key != "" {
			it.key = ch.topic + "\x00" + key
		}
	}
}

// queue enqueues a wire if the channel is there.
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

// Broadcast sends an event to all who joined the topic, this client included.
// The answer is that of [Endpoint.Broadcast].
func (ch *Channel) Broadcast(ctx context.Context, event string, payload any) (int, error) {
	return ch.sess.endpoint().hub.Broadcast(ctx, ch.topic, event, payload)
}

// BroadcastFrom is Broadcast to all but this channel: other connections of the
// same user do get it.
func (ch *Channel) BroadcastFrom(ctx context.Context, event string, payload any) (int, error) {
	n, err := ch.sess.endpoint().hub.BroadcastFrom(ctx, ch.subscription(), ch.topic, event, payload)
	if ch.route.cfg.Resume && err == nil {
		ch.passOver()
	}
	return n, err
}

// LocalBroadcast is Broadcast to the clients of this node.
func (ch *Channel) LocalBroadcast(event string, payload any) (int, error) {
	return ch.sess.endpoint().hub.LocalBroadcast(nil, ch.topic, event, payload)
}

func (ch *Channel) subscription() *pubsub.Subscription {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.sub
}

// Ref is a message of the client that can be replied to later.
type Ref struct {
	ch  *Channel
	ref codec.Ref
}

// Ref answers the ref of the message that HandleIn is handling; the error is
// [ErrNoRef] outside of HandleIn and if the client did not send one. It may be
// called by the handler only.
func (ch *Channel) Ref() (Ref, error) {
	if ch.current.IsNull() {
		return Ref{}, ErrNoRef
	}
	return Ref{ch: ch, ref: ch.current}, nil
}

// Reply replies. Clients take the first reply to a message only. It may be
// called from any goroutine.
func (r Ref) Reply(reply Reply) error {
	if r.ch == nil || reply.status == "" {
		return ErrNoRef
	}
	return r.ch.reply(r.ref, reply)
}

func (ch *Channel) reply(ref codec.Ref, r Reply) error {
	w, err := replyWire(ch.sess.version, ch.joinRef, ref, ch.topic, r)
	if err != nil {
		return err
	}
	return ch.queue(&item{wire: w, control: true})
}

// Send gives a message to the handler's HandleInfo, after all that waits.
// Errors are [ErrNotJoined] after the end and [ErrQueueFull] if too much waits.
func (ch *Channel) Send(msg any) error { return ch.post(mail{kind: mailInfo, value: msg}) }

// Subscribe brings the broadcasts on another topic to HandleInfo, as
// *pubsub.Message, until Unsubscribe or the end. Subscribing again does nothing.
func (ch *Channel) Subscribe(topic string) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending {
		return ErrNotJoined
	}
	m := ch.more()
	if m.subs[topic] != nil {
		return nil
	}
	sub, err := ch.sess.endpoint().hub.Subscribe(topic, pubsub.SubscriberFunc(func(msg *pubsub.Message) bool {
		return ch.posted(mail{kind: mailInfo, value: msg})
	}))
	if err != nil {
		return err
	}
	if m.subs == nil {
		m.subs = make(map[string]*pubsub.Subscription)
	}
	m.subs[topic] = sub
	return nil
}

// Unsubscribe ends a subscription of Subscribe. What waits is still handled.
func (ch *Channel) Unsubscribe(topic string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.rare != nil {
		ch.rare.subs[topic].Unsubscribe()
		delete(ch.rare.subs, topic)
	}
}

// receiver is a channel as a subscriber of its topic.
type receiver Channel

// Deliver takes a broadcast on the topic. It reports whether the client, or the
// handler that intercepts it, will get it.
func (r *receiver) Deliver(m *pubsub.Message) bool {
	ch := (*Channel)(r)
	if ch.route.cfg.Resume {
		if record, kept := m.Record(); kept {
			return ch.follow(m, &record)
		}
	}
	if t := m.Tally(); t != nil {
		return ch.deliver(m, t)
	}
	for _, event := range ch.route.cfg.Intercept {
		if event == m.Event {
			return ch.posted(mail{kind: mailOut, event: m.Event, payload: m.Payload})
		}
	}
	it, err := ch.broadcast(m)
	if err != nil {
		if err != ErrNoBinary { // which is about this client only
			m.Fail(err)
		}
		return false
	}
	return ch.offer(it) == nil
}

// broadcast is the item of m for this client: the one that the receivers share,
// or one of its own if it has a key, or a policy that the first one did not have.
func (ch *Channel) broadcast(m *pubsub.Message) (*item, error) {
	policy := ch.route.cfg.Overflow
	if m.Tally() != nil {
		policy = retried // it is refused without room, whatever happens to broadcasts
	}
	it, err := broadcastItem(m, ch.sess.version, policy)
	if err != nil || (ch.route.cfg.Conflate == nil && it.policy == policy) {
		return it, err
	}
	own := &item{wire: it.wire, written: it.written}
	ch.class(own, m.Event, m.Payload)
	own.policy = policy
	return own, nil
}

// offer queues a broadcast, or keeps it until the join is over. The caller holds
// no lock.
func (ch *Channel) offer(it *item) error {
	wake, err := ch.offerLocked(it)
	if wake {
		ch.sess.tr.wake(true)
	}
	return err
}

func (ch *Channel) offerLocked(it *item) (wake bool, err error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.reason != nil && it.written != nil:
		return false, ErrNotJoined // it ends: the hooks of what was early were called
	case ch.state == joining:
		early := &ch.more().early
		if len(*early) >= ch.sess.mount.cfg.Queue.Events {
			return false, ErrQueueFull
		}
		*early = append(*early, it)
		return false, nil
	case ch.state == joined:
		return ch.sess.put(it)
	}
	return false, ErrNotJoined
}

// channelContext is a channel seen as a context, which costs nothing until
// somebody waits for it.
type channelContext Channel

// Deadline answers that there is none.
func (*channelContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value answers nil.
func (*channelContext) Value(any) any { return nil }

// Done is closed when the channel ends.
func (c *channelContext) Done() <-chan struct{} {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	m := ch.more()
	if m.done == nil {
		m.done = make(chan struct{})
		if ch.state >= ending || ch.reason != nil {
			close(m.done)
		}
	}
	return m.done
}

// AfterFunc is what context.AfterFunc uses: without it each waiting function
// would cost a goroutine.
func (c *channelContext) AfterFunc(f func()) (stop func() bool) {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.reason != nil {
		ch.sess.endpoint().spawn(f)
		return func() bool { return false }
	}
	m := ch.more()
	m.after = append(m.after, &f)
	return func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		for i, other := range m.after {
			if other == &f {
				m.after = append(m.after[:i:i], m.after[i+1:]...)
				return true
			}
		}
		return false
	}
}

// Err is context.Canceled once the channel ends.
func (c *channelContext) Err() error {
	ch := (*Channel)(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.state >= ending || ch.reason != nil {
		return context.Canceled
	}
	return nil
}
