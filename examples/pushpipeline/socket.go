package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/token"
)

// tokenSalt is what socket tokens are made and checked with.
const tokenSalt = "user socket"

// The fields of a socket token: the user's id and the unix millisecond at which it ends.
const (
	fieldUser = "user"
	fieldEnds = "exp"
)

// user is the state of a socket: the user that its token names, and the token's end.
type user struct {
	id   string
	ends time.Time
}

// tokenFor makes the token with which a client connects as user. It is valid for
// -token-age.
func (a *app) tokenFor(user string) (string, error) {
	return a.tokens.Sign(tokenSalt, map[string]any{
		fieldUser: user, fieldEnds: time.Now().Add(a.cfg.TokenAge).UnixMilli(),
	}, token.SignConfig{MaxAge: a.cfg.TokenAge})
}

// identify returns the user that a socket token names.
func identify(tokens *token.Phoenix, tok string) (user, error) {
	data, err := tokens.Verify(tokenSalt, tok, token.VerifyConfig{})
	if err != nil {
		return user{}, err
	}
	// The signature is valid: only a token made by another program with the
	// same secret fails here.
	fields, _ := data.(map[any]any)
	id, _ := fields[fieldUser].(string)
	ends, ok := fields[fieldEnds].(int64)
	if !ok || checkUserID(id) != nil {
		return user{}, fmt.Errorf("%w: not a user's", token.ErrInvalid)
	}
	return user{id, time.UnixMilli(ends)}, nil
}

// openEndpoint makes the WebSocket side.
func (a *app) openEndpoint() (err error) {
	if a.address, err = a.clientAddress(); err != nil {
		return err
	}
	a.endpoint, err = websocket.NewEndpoint(websocket.EndpointConfig{
		PubSub: a.cluster.hub, Metrics: a.recorder, Tracer: a.tracer, Logger: a.log, ClientAddress: a.address,
		EventLoop: a.cfg.EventLoop,
		Limits: websocket.EndpointLimits{
			Connections: a.cfg.MaxConnections, PerAddress: a.cfg.MaxPerAddress, PerID: a.cfg.MaxPerUser, ConnectRate: a.cfg.ConnectRate,
		},
	})
	if err != nil {
		return err
	}
	users := websocket.NewSocket(websocket.SocketConfig[user]{
		Name: "UserSocket",
		// The token comes in a subprotocol: URLs are written to the logs of proxies.
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			return a.authenticate(r.AuthToken)
		},
		ID:      func(u user) string { return socketID(u.id) },
		Expires: func(u user) time.Time { return u.ends },
		Renew: func(_ context.Context, _ user, p websocket.Payload) (user, error) {
			var fresh struct {
				Token string `json:"token"`
			}
			if err := p.Decode(&fresh); err != nil {
				return user{}, err
			}
			return a.authenticate(fresh.Token) // another user is refused by its ID
		},
	})
	users.Channel("user:*", userChannel)
	return a.endpoint.Mount("/socket", users, websocket.MountConfig{
		AuthToken: true,
		// A client renews its token before the end: nothing is delivered after it.
		Timeouts: websocket.Timeouts{ExpiryGrace: time.Millisecond},
	})
}

// ownHeader marks the connections of the program's own clients, with a random name that
// no other program knows.
const ownHeader = "X-Pushpipeline-Client"

// clientAddress returns the address of a request's client, for the limits of an
// address: behind -proxies the one that they name. Each of the program's own clients
// counts as an address of its own, as the clients of real users would.
func (a *app) clientAddress() (func(*http.Request) netip.Addr, error) {
	address := peer
	if networks := a.cfg.proxies(); len(networks) > 0 {
		var err error
		if address, err = websocket.ForwardedFor(websocket.Proxies{Networks: networks}); err != nil {
			return nil, fmt.Errorf("-proxies: %w", err)
		}
	}
	var own atomic.Uint32
	return func(r *http.Request) netip.Addr {
		if r.Header.Get(ownHeader) != a.clients.name {
			return address(r)
		}
		n := own.Add(1)
		// A /64 of fd00::/8 for each, as the limits count those.
		return netip.AddrFrom16([16]byte{0: 0xfd, 4: byte(n >> 24), 5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n), 15: 1})
	}, nil
}

// peer returns the address that a request comes from.
func peer(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address is one too
	return at.Addr()
}

// subprotocols are what a client with a token asks for, as phoenix.js does with its
// option authToken.
func subprotocols(tok string) []string {
	return []string{"phoenix", "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(tok))}
}

// userChannel is the handler of user:ID, which only that user may join. It takes no
// events: pushes go from the server to the client only.
func userChannel(u user, topic string) websocket.Handler {
	return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
		// The token decides who the user is, and the topic must name the same one.
		if topic != topicOf(u.id) {
			return nil, websocket.Refuse("unauthorized")
		}
		return nil, nil
	})
}
