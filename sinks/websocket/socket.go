package websocket

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// ConnectRequest is what a client brought along when it connected.
type ConnectRequest struct {
	// Params are the query and the variables of the mount path.
	Params Params
	// AuthToken is the token sent outside of the URL (see MountConfig.AuthToken).
	AuthToken string
	// RemoteAddr is the peer's address and port. Behind a proxy it is the proxy's.
	RemoteAddr string
	// URL is the request's, with Host and Scheme filled in.
	URL *url.URL
	// UserAgent is the header of that name.
	UserAgent string
	// Header holds the headers that an application may look at: X-*,
	// Sec-WebSocket-*, Traceparent, Tracestate, and those of MountConfig.Headers.
	// Cookies are not among them unless named there: who authenticates by cookie
	// must check the origin.
	Header http.Header
}

// SocketConfig configures a [Socket] whose connections carry a state U.
type SocketConfig[U any] struct {
	// Name is used in metrics and logs. Empty means "socket".
	Name string
	// Connect decides about a connection and answers its state. ctx ends after
	// Timeouts.Connect. An error refuses with status 403, a
	// [*StatusError] with its own. nil accepts everybody with the zero state.
	Connect func(ctx context.Context, r *ConnectRequest) (U, error)
	// ID answers the topic by which all connections of one user can be told to
	// disconnect, such as "users_socket:42"; nil or "" means none.
	ID func(state U) string
	// Expires answers until when the credentials behind a state are good; the
	// zero time is for ever, as is nil. It is asked after Connect and after
	// Renew. Timeouts.ExpiryGrace later the connection is closed with 4001.
	Expires func(state U) time.Time
	// Renew decides about new credentials that the client sends before that, in
	// an event "renew" on the topic "phoenix", and answers the new state. An
	// error, a state with another ID and one that has expired are refused, all
	// with the same reply, and nothing changes; without ID it is for Renew to
	// refuse another user's credentials. Handlers that are a [RenewHandler]
	// then decide again. It runs in the connection's goroutine; ctx ends after
	// Timeouts.Connect. With nil there is no such event.
	//
	// With phoenix.js:
	//
	//	socket.push({topic: "phoenix", event: "renew", payload: {token}, ref: socket.makeRef()})
	Renew func(ctx context.Context, state U, payload Payload) (U, error)
	// QueueFull is called when the outbound queue of a connection has passed
	// three quarters of one of its bounds, so that what is under way still finds
	// room; QueueDrained when it has fallen below half, or the connection has
	// ended. For one connection they alternate, starting with QueueFull, and
	// never overlap. They run in a goroutine of their own and may block. A
	// change that was undone before it could be told is not told.
	QueueFull, QueueDrained func(state U)
}

// Socket is a kind of connection: who may connect, and which topics lead to
// which handlers. It may be mounted at several paths. Define all channels
// before it is mounted.
type Socket[U any] struct {
	cfg    SocketConfig[U]
	routes []routeDef
}

type routeDef struct {
	pattern string
	cfg     ChannelConfig
	new     func(state any, topic string) Handler
}

// NewSocket makes a socket without channels.
func NewSocket[U any](cfg SocketConfig[U]) *Socket[U] {
	if cfg.Name == "" {
		cfg.Name = "socket"
	}
	return &Socket[U]{cfg: cfg}
}

// Channel routes topics to handlers: pattern is a topic, or the beginning of
// topics if it ends with "*". The first matching pattern counts, in the order
// of definition. new is called for each join, in the connection's goroutine,
// and must answer a handler that nobody else uses.
func (s *Socket[U]) Channel(pattern string, new func(state U, topic string) Handler) {
	s.ChannelWith(pattern, ChannelConfig{}, new)
}

// ChannelConfig says how what is queued for the clients of a channel is treated
// when they do not keep up, and what its channels may do. The zero value is
// useful.
type ChannelConfig struct {
	// Overflow is the policy for pushes and broadcasts of this channel that find
	// no room in a client's queue.
	Overflow Overflow
	// Conflate returns a key for an event of this channel. An event with the key
	// of one that waits in a client's queue takes that one's place, so that a slow
	// client gets the latest value of each key, in the order in which the keys
	// came first. Events with the key "" are never conflated. payload is encoded
	// and shared. Conflate is called for each receiver and must be quick.
	// Default: nothing is conflated.
	Conflate func(event string, payload Payload) (key string)
	// Intercept names broadcast events that go to the handler, an [OutHandler],
	// instead of to the client. Default: none.
	Intercept []string
	// MaxTasks bounds the tasks of [Channel.Go] that run at a time for each
	// channel. 0 means 16.
	MaxTasks int
	// Resume numbers the broadcasts on the channel's topics, so that a client
	// that was away and says where it was gets what it missed: see the section
	// Resume of the package. The endpoint's PubSub must have a History that
	// keeps these topics, and the handler must not intercept. Overflow and
	// Conflate are then about pushes only.
	Resume bool
}

// ChannelWith is Channel with a configuration.
func (s *Socket[U]) ChannelWith(pattern string, cfg ChannelConfig, new func(state U, topic string) Handler) {
	def := routeDef{pattern: pattern, cfg: cfg}
	if new != nil { // nil is refused by Mount
		def.new = func(state any, topic string) Handler { return new(as[U](state), topic) }
	}
	s.routes = append(s.routes, def)
}

// Mountable is a [Socket] of any state.
type Mountable interface{ kind() socketKind }

// socketKind is a socket without its type parameter.
type socketKind struct {
	name          string
	connect       func(ctx context.Context, r *ConnectRequest) (state any, id string, err error)
	full, drained func(state any)
	expires       func(state any) time.Time                                                        // nil: never
	renew         func(ctx context.Context, state any, p Payload) (next any, id string, err error) // nil: not at all
	routes        []routeDef
}

// until answers when the credentials behind a state end, the zero time for
// never, and errTooLate if they have ended.
func (k *socketKind) until(state any) (time.Time, error) {
	if k.expires == nil {
		return time.Time{}, nil
	}
	end := k.expires(state)
	if !end.IsZero() && !time.Now().Before(end) {
		return end, errTooLate
	}
	return end, nil
}

func (s *Socket[U]) kind() socketKind {
	k := socketKind{name: s.cfg.Name, routes: append([]routeDef(nil), s.routes...)}
	idOf := func(state U) string {
		if s.cfg.ID == nil {
			return ""
		}
		return s.cfg.ID(state)
	}
	k.connect = func(ctx context.Context, r *ConnectRequest) (any, string, error) {
		var state U
		if s.cfg.Connect != nil {
			var err error
			if state, err = s.cfg.Connect(ctx, r); err != nil {
				return nil, "", err
			}
		}
		return state, idOf(state), nil
	}
	if f := s.cfg.Expires; f != nil {
		k.expires = func(state any) time.Time { return f(as[U](state)) }
	}
	if f := s.cfg.Renew; f != nil {
		k.renew = func(ctx context.Context, state any, p Payload) (any, string, error) {
			next, err := f(ctx, as[U](state), p)
			if err != nil {
				return nil, "", err
			}
			return next, idOf(next), nil
		}
	}
	if f := s.cfg.QueueFull; f != nil {
		k.full = func(state any) { f(as[U](state)) }
	}
	if f := s.cfg.QueueDrained; f != nil {
		k.drained = func(state any) { f(as[U](state)) }
	}
	return k
}

// as is v's U; the zero U if v is the nil of an interface.
func as[U any](v any) U {
	u, _ := v.(U)
	return u
}
