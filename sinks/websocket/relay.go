package websocket

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
)

// relayTimeout is how long another node may take to take a request, beyond the time
// that the request itself may take, and how long to send something to it.
const relayTimeout = 5 * time.Second

// relays passes long-poll requests to the nodes of their sessions, for one mount.
//
// The node that a client has reached passes the request as parts of its body
// (relayAsk), and the session's node says that it has the session (relayTaken) or not
// (relayGone). Later it sends the parts of the response (relayAnswer). A response with
// messages is confirmed once it was written to the client (relayWritten): without
// that the session ends, as for a client of its own that cannot be written to.
type relays struct {
	mount    *mount
	secret   []byte
	topic    string
	sub      *pubsub.Subscription
	stopping chan struct{} // closed by Close: no request waits here any more
	once     sync.Once     // closes it

	// mu guards what follows. Nothing is sent while it is held.
	mu     sync.Mutex
	lastID uint64
	asked  map[uint64]*asked     // requests that other nodes handle
	served map[servedKey]*served // requests of other nodes

	results map[string]metrics.Counter
	log     complain.Limit
}

// relayTopic and a mount's path are the topic of its relays, which no client can join.
const relayTopic = "\xfflongpoll:"

// path returns the path of the mount, with its variables as they were mounted.
func (rs *relays) path() string { return strings.TrimPrefix(rs.topic, relayTopic) }

// The results of websocket.longpoll_relays.
const (
	relayAnswered  = "answered"  // the client has the response
	relayNotThere  = "gone"      // there is no such node or no such session
	relayLate      = "late"      // the node has not responded in time
	relayClientEnd = "client"    // the client has gone, or did not take the response
	relayMalformed = "malformed" // what another node sent was dropped
)

// beginRelays subscribes the mount to requests of other nodes, if there can be some.
func (m *mount) beginRelays() error {
	hub := m.endpoint.hub
	if m.cfg.LongPoll == nil || m.cfg.LongPoll.Secret == nil || hub.Node() == pubsub.LocalNode {
		return nil
	}
	rs := &relays{
		mount: m, secret: m.cfg.LongPoll.Secret, topic: relayTopic + "/" + strings.Join(m.longPoll, "/"),
		stopping: make(chan struct{}),
		lastID:   mathrand.Uint64(), // answers to an earlier process of this name match nothing
		asked:    make(map[uint64]*asked), served: make(map[servedKey]*served),
		results: make(map[string]metrics.Counter),
	}
	for _, result := range []string{relayAnswered, relayNotThere, relayLate, relayClientEnd, relayMalformed} {
		rs.results[result] = m.endpoint.cfg.Metrics.Counter("websocket.longpoll_relays", metrics.Tag{Key: "result", Value: result})
	}
	var err error
	rs.sub, err = hub.Subscribe(rs.topic, rs)
	m.relays = rs
	return err
}

// eachRelays calls f for each mount that passes requests to other nodes.
func (e *Endpoint) eachRelays(f func(rs *relays)) {
	e.mountsMu.RLock()
	mounts := e.mounts
	e.mountsMu.RUnlock()
	for _, m := range mounts {
		if m.relays != nil {
			f(m.relays)
		}
	}
}

// stop lets requests that wait for other nodes end, without a loss of messages.
func (rs *relays) stop() { rs.once.Do(func() { close(rs.stopping) }) }

// end ends the subscription.
func (rs *relays) end() { rs.sub.Unsubscribe() }

// newToken makes the token of a session, which names this node if other nodes can
// pass requests to it.
func (rs *relays) newToken() string {
	token := pollTokenPrefix + rand.Text()
	if rs == nil {
		return token
	}
	token += "." + base64.RawURLEncoding.EncodeToString([]byte(rs.mount.endpoint.hub.Node()))
	return token + "." + rs.sign(token)
}

// sign returns the signature of a token, which holds for this mount only.
func (rs *relays) sign(token string) string {
	mac := hmac.New(sha256.New, rs.secret)
	mac.Write([]byte(rs.topic + "\x00" + token))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// nodeOf returns the other node that a genuine token names, or "".
func (rs *relays) nodeOf(token string) string {
	if rs == nil || !strings.HasPrefix(token, pollTokenPrefix) {
		return ""
	}
	end := strings.LastIndexByte(token, '.')
	if !hmac.Equal([]byte(rs.sign(token[:end])), []byte(token[end+1:])) {
		return ""
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(token[:end], pollTokenPrefix), ".")
	node, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil || string(node) == rs.mount.endpoint.hub.Node() {
		return ""
	}
	return string(node)
}

// Deliver takes what another node sends. It implements pubsub.Subscriber.
func (rs *relays) Deliver(m *pubsub.Message) bool {
	p, err := decodeRelay(m.Payload)
	if err != nil {
		rs.drop(m.Origin(), err)
		return false
	}
	key := servedKey{m.Origin(), p.id}
	switch p.kind {
	case relayAsk:
		err = rs.receiveAsk(key, &p)
	case relayCancel, relayWritten:
		rs.receiveWord(key, &p)
	default:
		err = rs.receiveAnswer(key, &p)
	}
	if err != nil {
		rs.drop(m.Origin(), err)
	}
	return err == nil
}

// drop counts and logs what another node has sent and cannot be used.
func (rs *relays) drop(node string, err error) {
	rs.results[relayMalformed].Add(1)
	rs.log.Log(rs.mount.endpoint.log, slog.LevelWarn, "part of a long-poll request of another node dropped", "node", node, "error", err)
}

// send sends one message to another node. It returns the number of nodes, as
// pubsub.Hub.Send does.
func (rs *relays) send(ctx context.Context, node string, p *relayed) (nodes int, err error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	return rs.mount.endpoint.hub.Send(ctx, node, rs.topic, "longpoll", p.payload())
}

// sendParts sends a body with what goes before it. The error is errNoNode if the
// node is not there.
func (rs *relays) sendParts(ctx context.Context, node string, p relayed, body []byte) error {
	p.head.Size = len(body)
	for {
		n := min(len(body), relayPart)
		p.part = body[:n]
		nodes, err := rs.send(ctx, node, &p)
		if err == nil && nodes == 0 {
			err = errNoNode
		}
		if body = body[n:]; err != nil || len(body) == 0 {
			return err
		}
		p.head = relayHead{At: p.head.At + n}
	}
}
