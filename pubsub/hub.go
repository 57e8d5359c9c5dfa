package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/penstock-go/penstock/internal/option"
)

// ErrClosed is answered by a [Hub] that has been closed.
var ErrClosed = errors.New("pubsub: closed")

// LocalNode is the name of a node that has no [Remote].
const LocalNode = "local"

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// Config configures a [Hub]. The zero value is an in-process hub.
type Config struct {
	// Shards is the number of independently locked parts, rounded up to a
	// power of two. More shards let more goroutines subscribe at once; each
	// costs about 100 bytes. 0 means 32; at most 4096.
	Shards int
	// Remote carries broadcasts to other nodes; nil means there are none.
	Remote Remote
	// History keeps what is broadcast on some topics; nil keeps nothing, and
	// costs nothing.
	History History
}

func (c Config) validate() error {
	return option.Within("pubsub.Hub", "Shards", c.Shards, 0, 4096)
}

// Hub is a set of topics. All methods are safe for concurrent use.
type Hub struct {
	remote  Remote
	history History
	seed    maphash.Seed
	shards  []shard
	closed  atomic.Bool
}

// New makes a hub. The error is a [*OptionError].
func New(config Config) (*Hub, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	n := 1
	for want := max(config.Shards, 0); n < want || (want == 0 && n < 32); {
		n *= 2
	}
	h := &Hub{remote: config.Remote, history: config.History, seed: maphash.MakeSeed(), shards: make([]shard, n)}
	return h, nil
}

// Node is the name of this node: that of the remote, or [LocalNode].
func (h *Hub) Node() string {
	if h.remote == nil {
		return LocalNode
	}
	return h.remote.Node()
}

// History is what keeps the broadcasts of some topics, or nil.
func (h *Hub) History() History { return h.history }

func (h *Hub) shard(topic string) *shard {
	return &h.shards[maphash.String(h.seed, topic)&uint64(len(h.shards)-1)]
}

// Subscribe adds a subscription of s to topic. It does not look for an earlier
// one: whoever subscribes twice is delivered to twice. It does not block.
func (h *Hub) Subscribe(topic string, s Subscriber) (*Subscription, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	return h.shard(topic).subscribe(topic, s), nil
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
	return &Message{Topic: topic, Event: event, Payload: p}, nil
}

// Broadcast offers the message to all subscriptions of topic, here and on the
// other nodes, and answers how many took it here. It blocks only if there is a
// remote or a history that does, and then until ctx is done at the longest.
func (h *Hub) Broadcast(ctx context.Context, topic, event string, payload any) (int, error) {
	return h.BroadcastFrom(ctx, nil, topic, event, payload)
}

// BroadcastFrom is Broadcast to all subscriptions but from, which may be nil.
func (h *Hub) BroadcastFrom(ctx context.Context, from *Subscription, topic, event string, payload any) (int, error) {
	m, err := h.message(topic, event, payload)
	if err != nil {
		return 0, err
	}
	if err := h.keep(ctx, m, from); err != nil {
		return 0, err
	}
	n := h.dispatch(m, from)
	if err := m.failure(); err != nil {
		return n, err
	}
	if h.remote != nil {
		if err := h.remote.Publish(ctx, "", m); err != nil {
			return n, fmt.Errorf("pubsub: broadcast: %w", err)
		}
	}
	return n, nil
}

// LocalBroadcast offers the message to the subscriptions of this node only,
// but not to from, which may be nil. It blocks no longer than the history.
func (h *Hub) LocalBroadcast(from *Subscription, topic, event string, payload any) (int, error) {
	m, err := h.message(topic, event, payload)
	if err != nil {
		return 0, err
	}
	if err := h.keep(context.Background(), m, from); err != nil {
		return 0, err
	}
	return h.dispatch(m, from), m.failure()
}

// DirectBroadcast offers the message to the subscriptions of one node. A node
// that does not exist is no error: the message reaches nobody. The answer
// counts only if node is this one.
func (h *Hub) DirectBroadcast(ctx context.Context, node, topic, event string, payload any) (int, error) {
	if node == h.Node() {
		return h.LocalBroadcast(nil, topic, event, payload)
	}
	m, err := h.message(topic, event, payload)
	if err != nil || h.remote == nil {
		return 0, err
	}
	if err := h.remote.Publish(ctx, node, m); err != nil {
		return 0, fmt.Errorf("pubsub: direct broadcast: %w", err)
	}
	return 0, nil
}

// Receive dispatches a message that came from another node. It is for the
// [Remote] to call; m must not be used by it afterwards. Messages received in
// one goroutine keep their order. One that the history refuses reaches nobody.
func (h *Hub) Receive(m *Message) int {
	if h.closed.Load() || h.keep(context.Background(), m, nil) != nil {
		return 0
	}
	return h.dispatch(m, nil)
}

// Subscribers is the number of subscriptions of topic on this node.
func (h *Hub) Subscribers(topic string) int { return h.shard(topic).count(topic) }

// Topics is the number of topics with at least one subscription on this node.
func (h *Hub) Topics() int {
	n := 0
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		n += len(s.topics)
		s.mu.Unlock()
	}
	return n
}

// Close refuses all further subscriptions and broadcasts. It is idempotent,
// ends no subscription and does not close the remote, which it was given.
func (h *Hub) Close() { h.closed.Store(true) }
