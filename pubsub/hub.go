package pubsub

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by a [Hub] that has been closed.
var ErrClosed = errors.New("pubsub: closed")

// LocalNode is the name of a node that has no [Remote].
const LocalNode = "local"

// Hub is a set of topics. All methods are safe for concurrent use.
type Hub struct {
	node    string
	remote  Remote // nil without other nodes
	timeout time.Duration
	history History // or nil
	log     *slog.Logger
	seed    maphash.Seed
	shards  []shard
	closed  atomic.Bool
	running atomic.Bool
	ran     atomic.Bool // Run was called
	made    time.Time

	// Of a hub with other nodes. Each has a mutex of its own; none is held while
	// another part is called, except by a shard for interest and polls.
	interest *interest // nil unless the remote asks for it
	pending  pendings
	outbox   outbox
	polls    polls
	reach    reaching
	members  MemberRemote // nil if the remote is none
	arrivals arrivals
	ages     ages
	counters counters
	logs     logs
}

// New makes a hub. The error is a [*OptionError].
func New(cfg Config) (*Hub, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	n := 1
	for n < cfg.Shards {
		n *= 2
	}
	h := &Hub{
		node: LocalNode, remote: cfg.Remote, timeout: cfg.RemoteTimeout, history: cfg.History, log: cfg.Logger,
		seed: maphash.MakeSeed(), shards: make([]shard, n), made: time.Now(),
	}
	history, _ := h.history.(SubscribedHistory)
	for i := range h.shards {
		h.shards[i].topics.seed, h.shards[i].history = maphash.MakeSeed(), history
	}
	if h.remote == nil {
		return h, nil
	}
	h.node = h.remote.Node()
	h.reach.remote, _ = h.remote.(ReachRemote)
	h.members, _ = h.remote.(MemberRemote)
	h.pending.timeout = h.timeout
	h.pending.wake = make(chan struct{}, 1)
	h.pending.byID, h.pending.byTopic = make(map[uint64]*pending), make(map[string]*pending)
	h.pending.lastID = rand.Uint64() // answers to an earlier process of this name match nothing
	h.outbox.wake = make(chan struct{}, 1)
	h.outbox.byNode = make(map[string][]answer)
	h.polls.wake = make(chan struct{}, 1)
	if _, ok := h.remote.(InterestedRemote); ok {
		h.interest = newInterest(cfg.Linger, h.keeps)
		for i := range h.shards {
			h.shards[i].interest = h.interest
		}
	}
	return h, nil
}

// keeps reports whether a topic keeps history.
func (h *Hub) keeps(topic string) bool { return h.history != nil && h.history.Keeps(topic) }

// Node returns the name of this node: that of the remote, or [LocalNode].
func (h *Hub) Node() string { return h.node }

// History returns what keeps the broadcasts of some topics, or nil.
func (h *Hub) History() History { return h.history }

// shard returns the part of the topics to which topic belongs. The number of
// shards is a power of two.
func (h *Hub) shard(topic string) *shard {
	return &h.shards[maphash.String(h.seed, topic)&uint64(len(h.shards)-1)]
}

// Subscribe adds a subscription of s to topic. It does not look for an earlier
// one: a subscriber with two subscriptions gets each message twice. It does not
// block. Messages of other nodes may begin to arrive a little later: see
// [Hub.Settle]. A nil subscriber is refused with an [*OptionError].
func (h *Hub) Subscribe(topic string, s Subscriber) (*Subscription, error) {
	if err := h.takes(s); err != nil {
		return nil, err
	}
	return h.shard(topic).subscribe(topic, s), nil
}

// Prepare is Subscribe without the beginning: the subscription gets nothing until
// [Subscription.Begin]. It can be the sender of a BroadcastFrom before that, so
// that a history knows which subscription a message is from.
func (h *Hub) Prepare(topic string, s Subscriber) (*Subscription, error) {
	if err := h.takes(s); err != nil {
		return nil, err
	}
	return h.shard(topic).prepare(topic, s), nil
}

// takes returns why the hub refuses a subscriber, or nil.
func (h *Hub) takes(s Subscriber) error {
	if err := hubOwner.Needs("subscriber", s, "a subscriber, not nil"); err != nil {
		return err
	}
	if h.closed.Load() {
		return ErrClosed
	}
	h.expectRun()
	return nil
}

// message encodes the payload of a message, in the goroutine of the caller and
// before anything else happens: so its error is the caller's also when the topic
// has no subscriber.
func (h *Hub) message(topic, event string, payload any) (*Message, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	p, err := encodeOwned(payload)
	if err != nil {
		return nil, err
	}
	if h.remote == nil {
		return &Message{Topic: topic, Event: event, Payload: p}, nil
	}
	// With other nodes a message needs its second part, in one allocation.
	m := &struct {
		Message
		more
	}{}
	m.Topic, m.Event, m.Payload = topic, event, p
	m.Message.more = &m.more
	m.more.wire.origin = h.node
	return &m.Message, nil
}

// Broadcast offers the message to all subscriptions of topic, here and on the
// other nodes, and returns the number of those that took it here. It blocks only
// if the remote or the history does, and at most until ctx is done. The error is
// a [*RemoteError] if this node alone has the message.
//
// If ctx names a span of a sampled trace, the message carries it to the subscribers of all
// nodes, see [Message.TraceContext].
func (h *Hub) Broadcast(ctx context.Context, topic, event string, payload any) (int, error) {
	return h.BroadcastFrom(ctx, nil, topic, event, payload)
}

// BroadcastFrom is Broadcast to all subscriptions but from, which may be nil.
func (h *Hub) BroadcastFrom(ctx context.Context, from *Subscription, topic, event string, payload any) (int, error) {
	m, err := h.message(topic, event, payload)
	if err != nil {
		return 0, err
	}
	m.carry(ctx)
	if err := h.keep(ctx, m, from); err != nil {
		return 0, err
	}
	n := h.dispatch(m, from)
	if err := m.failure(); err != nil {
		return n, err
	}
	if h.remote != nil {
		if _, err := h.publish(ctx, "", m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// LocalBroadcast offers the message to the subscriptions of this node only,
// but not to from, which may be nil. It blocks no longer than the history.
func (h *Hub) LocalBroadcast(from *Subscription, topic, event string, payload any) (int, error) {
	return h.localBroadcast(context.Background(), from, topic, event, payload)
}

// localBroadcast is LocalBroadcast for the span of ctx.
func (h *Hub) localBroadcast(ctx context.Context, from *Subscription, topic, event string, payload any) (int, error) {
	m, err := h.message(topic, event, payload)
	if err != nil {
		return 0, err
	}
	m.carry(ctx)
	if err := h.keep(ctx, m, from); err != nil {
		return 0, err
	}
	return h.dispatch(m, from), m.failure()
}

// DirectBroadcast offers the message to the subscriptions of one node. A node
// that does not exist is no error: the message reaches no subscriber. It returns
// the number of subscriptions that took the message if node is this one, else 0.
func (h *Hub) DirectBroadcast(ctx context.Context, node, topic, event string, payload any) (int, error) {
	if node == h.Node() {
		return h.localBroadcast(ctx, nil, topic, event, payload)
	}
	m, err := h.message(topic, event, payload)
	if err != nil || h.remote == nil {
		return 0, err
	}
	m.carry(ctx)
	_, err = h.publish(ctx, node, m)
	return 0, err
}

// Send offers the message to the subscriptions of another node, and returns the
// number of nodes that it was handed to: 0 if there is no such node, -1 if that
// cannot be known. Handed over does not mean received. It is for parts of a program
// that talk to each other: on a topic that begins with the byte 0xff, which no
// client can name, no history keeps it.
func (h *Hub) Send(ctx context.Context, node, topic, event string, payload any) (nodes int, err error) {
	m, err := h.message(topic, event, payload)
	if err != nil || h.remote == nil || node == h.node {
		return 0, err
	}
	return h.publish(ctx, node, m)
}

// Subscribers returns the number of subscriptions of topic on this node.
func (h *Hub) Subscribers(topic string) int { return h.shard(topic).count(topic) }

// Topics returns the number of topics with at least one subscription on this node.
func (h *Hub) Topics() int {
	n := 0
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		n += s.topics.len()
		s.mu.Unlock()
	}
	return n
}

// Stop refuses all further subscriptions and broadcasts, and drops what comes
// from other nodes. It is idempotent. It ends no subscription, and not Run.
func (h *Hub) Stop() { h.closed.Store(true) }
