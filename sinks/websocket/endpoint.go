package websocket

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
)

// Endpoint is the server's side of all connections: an http.Handler for the
// paths its sockets are mounted at, and the place to broadcast from. All
// methods are safe for concurrent use.
type Endpoint struct {
	config EndpointConfig
	hub    *pubsub.Hub
	log    *slog.Logger

	mountsMu sync.RWMutex
	mounts   []*mount

	registry registry
	arrivals arrivals
	writers  writers
	resting  resting
	polls    polls
	work     tracker // connections, channels and goroutines that run now
	channels atomic.Int64

	queuedBytes atomic.Int64
	shedding    atomic.Bool
	closing     atomic.Bool
	delivers    atomic.Bool // a delivery has been offered to a channel

	queueFull metrics.Counter
	discarded map[string]metrics.Counter
}

// The reasons of websocket.discarded.
const (
	discardedQueueFull = "queue_full"
	discardedInboxFull = "inbox_full"
	discardedConflated = "conflated"
	discardedClosed    = "closed"
)

// NewEndpoint makes an endpoint without sockets. It starts no goroutine. The
// error is a [*OptionError].
func NewEndpoint(config EndpointConfig) (*Endpoint, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	hub := config.PubSub
	if hub == nil {
		var err error
		if hub, err = pubsub.New(pubsub.Config{}); err != nil {
			return nil, err
		}
	}
	e := &Endpoint{
		config: config, hub: hub, log: config.Logger,
		queueFull: config.Metrics.Counter("websocket.queue_full"),
		discarded: make(map[string]metrics.Counter),
	}
	if e.registry.perAddress = config.MaxPerAddress; config.MaxPerAddress > 0 {
		e.registry.addresses = make(map[netip.Addr]int)
		e.registry.from = make(map[*session]netip.Addr)
	}
	if e.registry.perID = config.MaxPerID; config.MaxPerID > 0 {
		e.registry.ids = make(map[string]int)
	}
	e.arrivals.rate = config.MaxConnectRate
	e.registry.gauge = config.Metrics.Gauge("websocket.connections")
	e.work.zero = make(chan struct{}, 1)
	e.writers.work = &e.work
	e.resting = resting{work: &e.work, after: restAfter}
	e.writers.limit = runtime.GOMAXPROCS(0)
	e.writers.since = time.Now()
	for _, reason := range []string{discardedQueueFull, discardedInboxFull, discardedConflated, discardedClosed} {
		e.discarded[reason] = config.Metrics.Counter("websocket.discarded", metrics.Tag{Key: "reason", Value: reason})
	}
	return e, nil
}

// PubSub is what carries the broadcasts of this endpoint.
func (e *Endpoint) PubSub() *pubsub.Hub { return e.hub }

// Broadcast sends an event to all who joined topic, on all nodes, and answers
// how many subscriptions of this node took it: zero means that here nobody got
// it. Taken means queued for the client, or for the handler that intercepts
// the event; on a resumable topic also kept for a client whose queue is full. It
// does not wait for clients. The payload is encoded once, for clients and other nodes
// alike; [ErrPayload] if it is neither a JSON object nor [Binary].
func (e *Endpoint) Broadcast(ctx context.Context, topic, event string, payload any) (int, error) {
	return e.hub.Broadcast(ctx, topic, event, payload)
}

// LocalBroadcast is Broadcast to the clients of this node only.
func (e *Endpoint) LocalBroadcast(topic, event string, payload any) (int, error) {
	return e.hub.LocalBroadcast(nil, topic, event, payload)
}

// Disconnect closes all connections, on all nodes, whose socket has this id,
// with close code 1001, and answers how many there were on this node.
func (e *Endpoint) Disconnect(ctx context.Context, id string) (int, error) {
	return e.hub.Broadcast(ctx, id, eventDisconnect, nil)
}

const eventDisconnect = "disconnect"

// mount is a socket at a path.
type mount struct {
	endpoint *Endpoint
	config   MountConfig
	kind     socketKind
	segments []string // of path and suffix
	longPoll []string // the same for long polling; nil if off
	routes   []*route
	resumes  bool // any of them
	cookies  bool // whether Connect sees them
	bounds   bounds

	connectOK, connectError, unmatched metrics.Counter
}

type route struct {
	routeDef
	ok, fail metrics.Counter
}

// Mount makes a socket reachable at path, which begins with "/" and may hold
// variables such as "/:room" that join the params. It must be called before
// the first request. Errors are [*OptionError].
func (e *Endpoint) Mount(path string, s Mountable, config MountConfig) error {
	if err := config.validate(); err != nil {
		return err
	}
	if !strings.HasPrefix(path, "/") || (len(path) > 1 && strings.HasSuffix(path, "/")) {
		return mountOwner.Refuse("path", path, `a path beginning with "/" and not ending with it`)
	}
	config = config.withDefaults()
	if config.Origin == nil {
		config.Origin = e.config.Origin
	}
	m := &mount{endpoint: e, config: config, kind: s.kind()}
	m.segments = strings.Split(strings.TrimSuffix(path, "/")+config.Suffix, "/")[1:]
	if config.LongPoll != nil {
		m.longPoll = strings.Split(strings.TrimSuffix(path, "/")+config.LongPoll.Suffix, "/")[1:]
	}
	m.bounds = bounds{
		frames: config.Queue.Events, bytes: config.Queue.Bytes,
		notify: m.kind.full != nil || m.kind.drained != nil,
	}
	for _, name := range config.Headers {
		m.cookies = m.cookies || strings.EqualFold(name, "Cookie")
	}
	counter := func(name, status, key, value string) metrics.Counter {
		return e.config.Metrics.Counter(name, metrics.Tag{Key: "status", Value: status}, metrics.Tag{Key: key, Value: value})
	}
	m.connectOK = counter("socket_connect", "success", "socket", m.kind.name)
	m.connectError = counter("socket_connect", "error", "socket", m.kind.name)
	m.unmatched = counter("channel_join", "fail", "channel", "unmatched")
	for _, def := range m.kind.routes {
		if !pubsub.ValidPattern(def.pattern) {
			return mountOwner.Refuse("channel pattern", def.pattern, pubsub.AllowedPattern)
		}
		if def.config.Overflow > DropOldest {
			return mountOwner.Refuse("channel Overflow", def.config.Overflow, overflowNames)
		}
		if def.config.Resume && e.hub.History() == nil {
			return mountOwner.Refuse("channel Resume", true, "true only if the endpoint's PubSub has a History")
		}
		if err := option.AtLeast(mountOwner, "channel MaxTasks", def.config.MaxTasks, 0); err != nil {
			return err
		}
		option.Default(&def.config.MaxTasks, defaultTasks)
		option.Default(&def.config.Overflow, config.Queue.Overflow)
		m.resumes = m.resumes || def.config.Resume
		m.routes = append(m.routes, &route{
			routeDef: def,
			ok:       counter("channel_join", "success", "channel", def.pattern),
			fail:     counter("channel_join", "fail", "channel", def.pattern),
		})
	}
	e.mountsMu.Lock()
	defer e.mountsMu.Unlock()
	for _, other := range e.mounts {
		if strings.Join(other.segments, "/") == strings.Join(m.segments, "/") {
			return mountOwner.Refuse("path", path, "a path where no socket is mounted yet")
		}
	}
	e.mounts = append(e.mounts, m)
	return nil
}

// ServeHTTP leads a request to the socket mounted at its path; there is 404
// for all other paths. It returns as soon as a connection is upgraded.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mountsMu.RLock()
	mounts := e.mounts
	e.mountsMu.RUnlock()
	for _, m := range mounts {
		if vars, ok := match(m.segments, r.URL.Path); ok {
			m.serveWebSocket(w, r, vars)
			return
		}
		if vars, ok := match(m.longPoll, r.URL.Path); ok {
			m.serveLongPoll(w, r, vars)
			return
		}
	}
	http.Error(w, "not found", http.StatusNotFound)
}

// match compares a path with a mount's and answers its variables.
func match(segments []string, path string) (vars map[string]string, ok bool) {
	for i, want := range segments {
		var have string
		if path == "" || path[0] != '/' {
			return nil, false
		}
		have, path = path[1:], ""
		if cut := strings.IndexByte(have, '/'); cut >= 0 {
			have, path = have[:cut], have[cut:]
		}
		switch name, variable := strings.CutPrefix(want, ":"); {
		case variable && have != "":
			if vars == nil {
				vars = make(map[string]string)
			}
			vars[name] = have
		case have != want:
			return nil, false
		}
		if i == len(segments)-1 && path != "" {
			return nil, false
		}
	}
	return vars, len(segments) > 0
}

func (m *mount) route(topic string) *route {
	for _, r := range m.routes {
		if pubsub.Matches(r.pattern, topic) {
			return r
		}
	}
	return nil
}

// goesOn tells whether an error of a handler is about the connection or its
// load, so that the channel goes on.
func goesOn(err error) bool {
	for _, about := range []error{ErrQueueFull, ErrClosed, ErrNotJoined, ErrTooManyTasks} {
		if errors.Is(err, about) {
			return true
		}
	}
	return false
}
