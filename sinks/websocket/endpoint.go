package websocket

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/complain"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
)

// Endpoint serves all connections. It is an http.Handler for the paths at which
// its sockets are mounted, and broadcasts to their clients. All methods are safe
// for concurrent use.
type Endpoint struct {
	cfg EndpointConfig
	hub *pubsub.Hub
	log *slog.Logger

	mountsMu sync.RWMutex // guards mounts, of which no element is changed
	mounts   []*mount

	registry registry
	arrivals arrivals
	epoch    time.Time // where uptime begins
	writers  writers
	runners  runners
	resting  resting
	loops    []*loop // none unless EndpointConfig.EventLoop
	polls    polls
	// Channels that outlive their connections.
	stragglers   stragglers
	hung         hungs // handlers, tasks and calls of Renew
	hungConnects hungs
	disconnects  disconnects
	work         tracker      // connections, channels and goroutines that run now
	channels     atomic.Int64 // joined, or being joined or left

	hosts     hostList // by which requests may reach it; empty for all
	publicURL *url.URL // nil if it is that of each request
	refusals  refusals

	peers      bool         // clients have the addresses of their peers
	noAddress  sync.Once    // logs that clients have no addresses of their own
	noDeadline sync.Once    // logs that requests have no deadlines
	bodyBytes  atomic.Int64 // of long-poll bodies that are read or handled

	queuedBytes atomic.Int64 // in all outboxes together
	apartBytes  atomic.Int64 // of them, in those that wait for their clients
	shedding    atomic.Bool  // a goroutine runs that closes the longest queues
	closing     atomic.Bool  // Drain or Close was called
	delivers    atomic.Bool  // a delivery has been offered to a channel

	queueFull   metrics.Counter // how often a queue has become full
	held        metrics.Counter // how often replies have filled a queue, so that messages of its client wait
	waited      metrics.Counter // broadcasts that have waited for the writers
	discarded   map[string]metrics.Counter
	formats     formats
	replaced    metrics.Counter
	replacedLog complain.Limit
	slow        map[string]metrics.Counter // connections that were closed, by reason
	rejected    [rejections]metrics.Counter
	crashes     metrics.Counter         // of the application's code
	breaches    map[int]metrics.Counter // by close code
}

// The reasons of websocket.discarded.
const (
	discardedQueueFull = "queue_full"
	discardedInboxFull = "inbox_full"
	discardedConflated = "conflated"
	discardedClosed    = "closed"
	discardedTooLarge  = "too_large"
	discardedNoBinary  = "no_binary"
	discardedUnhandled = "unhandled"
)

// NewEndpoint returns an endpoint without sockets. It starts no goroutine. The
// error is a [*OptionError].
func NewEndpoint(cfg EndpointConfig) (*Endpoint, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	peers, unbounded := cfg.ClientAddress == nil, cfg.Logger
	cfg = cfg.withDefaults()
	hub := cfg.PubSub
	if hub == nil {
		var err error
		if hub, err = pubsub.New(pubsub.Config{}); err != nil {
			return nil, err
		}
	}
	e := &Endpoint{
		cfg: cfg, hub: hub, log: cfg.Logger, peers: peers, epoch: time.Now(),
		queueFull: cfg.Metrics.Counter("websocket.queue_full"),
		held:      cfg.Metrics.Counter("websocket.client_held"),
		waited:    cfg.Metrics.Counter("websocket.broadcasts_waited"),
		discarded: make(map[string]metrics.Counter),
		slow:      slowCounters(cfg.Metrics),
		rejected:  rejectionCounters(cfg.Metrics),
		crashes:   cfg.Metrics.Counter("websocket.crashes"),
		replaced:  cfg.Metrics.Counter("websocket.replaced"),
		breaches:  make(map[int]metrics.Counter),
	}
	for _, code := range breachCodes {
		e.breaches[code] = cfg.Metrics.Counter("websocket.breaches", metrics.Tag{Key: "code", Value: strconv.Itoa(code)})
	}
	e.hosts, _ = newHostList(endpointOwner, "Hosts", cfg.Hosts)                     // validated
	e.publicURL, _ = parsePublicURL(endpointOwner, cfg.PublicURL)                   // validated
	e.refusals = refusals{metrics: cfg.Metrics, log: cmp.Or(unbounded, cfg.Logger)} // it bounds its lines itself, by reason
	e.registry.begin(cfg.Limits, cfg.Metrics.Gauge("websocket.connections"), e.use)
	e.hung.limit, e.hung.gauge = cfg.Limits.HungHandlers, cfg.Metrics.Gauge("websocket.hung_handlers")
	e.hungConnects.limit, e.hungConnects.gauge = cfg.Limits.HungHandlers, cfg.Metrics.Gauge("websocket.hung_connects")
	e.arrivals.rate = cfg.Limits.ConnectRate
	e.work.zero = make(chan struct{}, 1)
	e.writers.work = &e.work
	e.runners.work = &e.work
	e.resting = resting{work: &e.work}
	if cfg.EventLoop {
		e.loops = e.newLoops(runtime.GOMAXPROCS(0))
	}
	e.writers.limit = runtime.GOMAXPROCS(0)
	e.writers.since = time.Now()
	e.writers.writable = e.writable
	e.writers.backlog.begin(cfg.Limits.Backlog)
	for _, reason := range []string{discardedQueueFull, discardedInboxFull, discardedConflated, discardedClosed, discardedTooLarge, discardedNoBinary, discardedUnhandled} {
		e.discarded[reason] = cfg.Metrics.Counter("websocket.discarded", metrics.Tag{Key: "reason", Value: reason})
	}
	return e, nil
}

// use says whether there are connections. It may be called with a registry.mu held.
func (e *Endpoint) use(used bool) {
	e.runners.use(used)
	e.resting.use(used)
}

// PubSub returns the hub that carries the broadcasts of this endpoint.
func (e *Endpoint) PubSub() *pubsub.Hub { return e.hub }

// Broadcast sends an event to all clients that have joined topic, on all nodes. It
// returns how many subscriptions of this node took it: 0 means that no client of
// this node gets it. Taken means queued for the client, or for the handler that
// intercepts the event; on a resumable topic also kept for a client whose queue
// is full. It waits for no client, but for the endpoint's writers while they are
// behind, see EndpointLimits.Backlog: if ctx ends meanwhile, its error is returned
// and nothing was sent. Code that must not block, such as a hook of
// [Channel.PushWritten], calls LocalBroadcast or the Broadcast of PubSub instead,
// which do not wait for writers. The payload is encoded once, for clients
// and other nodes alike; the error is [ErrPayload] if it is neither a JSON object
// nor [Binary].
func (e *Endpoint) Broadcast(ctx context.Context, topic, event string, payload any) (int, error) {
	turn, err := e.keepUp(ctx)
	if err != nil {
		return 0, err
	}
	if turn {
		defer e.endTurn()
	}
	n, err := e.hub.Broadcast(ctx, topic, event, payload)
	e.writers.backlog.wide(n)
	return n, err
}

// LocalBroadcast is Broadcast to the clients of this node only, and never waits.
func (e *Endpoint) LocalBroadcast(topic, event string, payload any) (int, error) {
	n, err := e.hub.LocalBroadcast(nil, topic, event, payload)
	e.writers.backlog.wide(n)
	return n, err
}

// Disconnect closes all connections, on all nodes, whose socket has this id, with
// close code 1001, after what is queued for them. What was read from their clients and
// waits for a handler is not handled. It returns how many there were
// on this node. A connection that this node is making meanwhile is closed too;
// another node may still admit a client whose Connect has begun before.
func (e *Endpoint) Disconnect(ctx context.Context, id string) (int, error) {
	e.disconnects.note(id) // before the broadcast, for sessions that it comes too early for
	return e.hub.Broadcast(ctx, id, eventDisconnect, nil)
}

// Kick ends the channels of one topic on all connections, on all nodes, whose
// socket has this id. The connections and their other channels go on. It returns
// on how many connections of this node the topic was joined. The clients get
// phx_close with the payload {"reason": "kicked"}, so that phoenix.js calls the
// channel's onClose and does not join again by itself. What they have sent and no
// handler has begun is not handled. HandleTerminate gets
// [ErrKicked]. A client may ask to join again: HandleJoin decides.
func (e *Endpoint) Kick(ctx context.Context, id, topic string) (int, error) {
	return e.hub.Broadcast(ctx, id, eventKick, kick{Topic: topic})
}

// eventKick on the topic of a socket id ends channels of its connections.
const eventKick = "kick"

// kick is the payload of eventKick.
type kick struct {
	Topic string `json:"topic"`
}

// eventDisconnect on the topic of a socket id closes its connections, as in
// Phoenix.
const eventDisconnect = "disconnect"

// ServeHTTP passes a request to the socket that is mounted at its path. The
// status is 404 for all other paths. It returns as soon as a connection is
// upgraded.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.hosts.allows(r) {
		e.refusals.note(r, refusedHost, r.Host, nil)
		refuseHost(w)
		return
	}
	path := r.URL.EscapedPath()
	e.mountsMu.RLock()
	// Mount appends only, so that the slice can be read without the lock.
	mounts := e.mounts
	e.mountsMu.RUnlock()
	for _, m := range mounts {
		if vars, ok := match(m.segments, path); ok {
			m.serveWebSocket(w, r, vars)
			return
		}
		if vars, ok := match(m.longPoll, path); ok {
			m.serveLongPoll(w, r, vars)
			return
		}
	}
	http.Error(w, "not found", http.StatusNotFound)
}
