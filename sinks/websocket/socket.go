package websocket

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// ConnectRequest is what a client sent when it connected.
type ConnectRequest struct {
	// Params are the query and the variables of the mount path.
	Params Params
	// AuthToken is the token sent outside of the URL (see MountConfig.AuthToken).
	AuthToken string
	// RemoteAddr is the peer's address and port, which may be those of a proxy.
	RemoteAddr string
	// URL is the request's, with Host and Scheme filled in.
	URL *url.URL
	// UserAgent is the header of that name.
	UserAgent string
	// Header holds the headers that an application may look at: X-*,
	// Sec-WebSocket-*, Traceparent, Tracestate, and those of MountConfig.Headers.
	// Cookies are not among them unless named there: an application that
	// authenticates by cookie must check the origin.
	Header http.Header
}

// SocketConfig configures a [Socket] whose connections carry a state U.
type SocketConfig[U any] struct {
	// Name is used in metrics and logs. Default: "socket".
	Name string
	// Connect decides whether a client may connect, and returns the state of its
	// connection. ctx ends after Timeouts.Connect. An error refuses with status
	// 403, a [*StatusError] with its own. Default: every client is accepted with
	// the zero state.
	Connect func(ctx context.Context, r *ConnectRequest) (U, error)
	// ID returns the topic by which all connections of one user can be
	// disconnected, such as "users_socket:42", or "" for none. Default: none.
	ID func(state U) string
	// Expires returns when the credentials of a state expire, or the zero time if
	// they do not. It is called after Connect and after Renew. The connection is
	// closed with 4001 when Timeouts.ExpiryGrace has passed after that. Default:
	// credentials do not expire.
	Expires func(state U) time.Time
	// Renew decides about new credentials, which the client sends before that in
	// an event "renew" on the topic "phoenix", and returns the new state. An error,
	// a state with another ID and one that has expired are refused with the same
	// reply, and nothing changes. Without ID, Renew itself must refuse another
	// user's credentials. Handlers that are a [RenewHandler] then decide again.
	// Renew runs in the connection's goroutine; ctx ends after Timeouts.Connect.
	// Default: there is no such event.
	//
	// With phoenix.js:
	//
	//	socket.push({topic: "phoenix", event: "renew", payload: {token}, ref: socket.makeRef()})
	Renew func(ctx context.Context, state U, payload Payload) (U, error)
	// QueueFull is called when the outbound queue of a connection has passed three
	// quarters of one of its bounds, so that events on their way still find room.
	// QueueDrained is called when it has fallen below half of both bounds, or the
	// connection has ended. For one connection they alternate, starting with
	// QueueFull, and never overlap. They run in a goroutine of their own and may
	// block. A change that was undone before its call is skipped.
	QueueFull, QueueDrained func(state U)
}

// Socket is a kind of connection: it decides which clients may connect, and which
// topics lead to which handlers. It may be mounted at several paths. Define all
// channels before it is mounted.
type Socket[U any] struct {
	cfg    SocketConfig[U]
	routes []routeDef
}

// routeDef is a channel as the application has defined it.
type routeDef struct {
	pattern string
	cfg     ChannelConfig
	new     func(state any, topic string) Handler
}

// NewSocket returns a socket without channels.
func NewSocket[U any](cfg SocketConfig[U]) *Socket[U] {
	if cfg.Name == "" {
		cfg.Name = "socket"
	}
	return &Socket[U]{cfg: cfg}
}

// Channel routes topics to handlers. pattern is a topic, or the beginning of
// topics if it ends with "*"; the first matching pattern in the order of
// definition counts. new is called for each join, in the connection's goroutine,
// and must return a handler that is used for this join only.
func (s *Socket[U]) Channel(pattern string, new func(state U, topic string) Handler) {
	s.ChannelWith(pattern, ChannelConfig{}, new)
}

// ChannelConfig configures the channels of a route. The zero value is useful.
type ChannelConfig struct {
	// Overflow is the policy for pushes and broadcasts of this channel that find
	// no room in a client's queue. Default: that of the mount.
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
	// channel. Default: 16.
	MaxTasks int
	// Resume numbers the broadcasts on the channel's topics, so that a client that
	// was away and sends its position gets what it missed: see the section Resume
	// of the package. The endpoint's PubSub must have a History that keeps these
	// topics, and Intercept must be empty. Overflow and Conflate then apply to
	// pushes only. Default: off.
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

// until returns when the credentials of a state end, the zero time if they do not,
// and errTooLate if they have ended.
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

// kind returns the socket without its type parameter, with the channels defined so
// far.
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

// as returns v as a U, or the zero U if v is a nil interface.
func as[U any](v any) U {
	u, _ := v.(U)
	return u
}
