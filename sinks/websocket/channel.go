package websocket

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// channelState is how far a channel has come. It only grows.
type channelState uint8

const (
	joining channelState = iota
	joined               // also while it is told to end and the handler has not noticed: see Channel.reason
	ending               // no method of the handler is called any more except HandleTerminate
	over
)

// Channel is a joined topic of one client, with which a [Handler] pushes and
// broadcasts. All methods except Ref may be called from any goroutine, the
// handler's included, and none waits for the client.
//
// A channel has a goroutine only while its handler has something to do.
type Channel struct {
	sess  *session
	route *route
	// Made by callJoin; its methods never overlap.
	handler Handler
	topic   string
	// Guarded by session.mu.
	nextOfSession *Channel
	joinRef       codec.Ref // the join's ref if it had no join ref
	// Guarded by mu. A resumable channel prepares it before its handler joins, and
	// begins it afterwards; in other channels it is nil until then.
	sub *pubsub.Subscription

	nullJoin  bool // the join had no join ref
	leaving   bool // the client has sent phx_leave; owned by the goroutine that reads
	accepted  bool // HandleJoin has returned nil; owned by the goroutine that runs
	abandoned bool // its handler hangs; guarded by session.mu

	doing atomic.Int64 // the call of the handler and its beginning: see busy

	mu      sync.Mutex
	state   channelState
	running bool   // a goroutine works on the inbox, or the join
	muted   bool   // the client hears nothing of it any more
	reason  error  // why the channel ends at once; set before state is ending
	inbox   *inbox // nil while nothing waits
	rare    *rare

	current codec.Ref // of the message being handled; owned by the goroutine that runs
}

// rare holds what most channels do not have most of the time. It is guarded by
// Channel.mu.
type rare struct {
	early []*item                         // broadcasts during the join
	room  chan struct{}                   // closed when the inbox was taken
	over  chan struct{}                   // closed when the channel is over
	done  chan struct{}                   // of the context
	after []*func()                       // of context.AfterFunc
	subs  map[string]*pubsub.Subscription // of Channel.Subscribe
	place *place                          // in the history; of resumable channels
	tasks int                             // running
	// Why the channel ends after what waits, while reason is nil: see end.
	closing error
	late    *time.Timer     // ends the grace time of that, or of the end: see watchEnd
	hung    bool            // it counts in Endpoint.hung
	timers  map[*alarm]bool // running
}

// more returns rare, and makes it first if there is none. The mutex is held.
func (ch *Channel) more() *rare {
	if ch.rare == nil {
		ch.rare = &rare{}
	}
	return ch.rare
}

// Topic returns the topic that was joined.
func (ch *Channel) Topic() string { return ch.topic }

// SocketID returns the id of the socket, or "".
func (ch *Channel) SocketID() string { return ch.sess.id }

// Context returns a context that ends when the channel does: after its last messages
// have been handled, or when the time for them is over.
func (ch *Channel) Context() context.Context { return (*channelContext)(ch) }

// Broadcast sends an event to all clients that have joined the topic, this one
// included. It returns what [Endpoint.Broadcast] returns.
func (ch *Channel) Broadcast(ctx context.Context, event string, payload any) (int, error) {
	return ch.sess.endpoint().Broadcast(ctx, ch.topic, event, payload)
}

// BroadcastFrom is Broadcast to all channels but this one: other connections of
// the same user do get the event.
func (ch *Channel) BroadcastFrom(ctx context.Context, event string, payload any) (int, error) {
	turn, err := ch.sess.endpoint().keepUp(ctx)
	if err != nil {
		return 0, err
	}
	if turn {
		defer ch.sess.endpoint().endTurn()
	}
	n, err := ch.sess.endpoint().hub.BroadcastFrom(ctx, ch.subscription(), ch.topic, event, payload)
	ch.sess.endpoint().writers.backlog.wide(n)
	var remote *pubsub.RemoteError // this node has numbered the broadcast all the same
	if ch.route.cfg.Resume && (err == nil || errors.As(err, &remote)) {
		ch.passOver()
	}
	return n, err
}

// LocalBroadcast is Broadcast to the clients of this node, and never waits.
func (ch *Channel) LocalBroadcast(event string, payload any) (int, error) {
	return ch.sess.endpoint().LocalBroadcast(ch.topic, event, payload)
}

// subscription returns the subscription of the topic. While the channel is being
// joined it is nil, or one that has not begun if the channel is resumable.
func (ch *Channel) subscription() *pubsub.Subscription {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.sub
}

// Send passes a message to the handler's HandleInfo, after all that waits. Errors
// are [ErrNotJoined] after the end, and [ErrQueueFull] when Limits.Inbox messages
// wait.
func (ch *Channel) Send(msg any) error { return ch.post(mail{kind: mailInfo, value: msg}) }

// Subscribe passes the broadcasts on another topic to HandleInfo, as
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
	// Under the mutex, so that the end cannot overlook the subscription.
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

// Unsubscribe ends a subscription of Subscribe. Messages that wait are still
// handled.
func (ch *Channel) Unsubscribe(topic string) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.rare != nil {
		ch.rare.subs[topic].Unsubscribe()
		delete(ch.rare.subs, topic)
	}
}
