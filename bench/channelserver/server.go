package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/token"
)

const (
	salt   = "user socket"
	maxAge = 86_400 * time.Second
)

// server is the endpoint with what belongs to it.
type server struct {
	endpoint *websocket.Endpoint
	tokens   *token.Phoenix
	tracker  *presence.Tracker
	mux      *http.ServeMux
	local    websocket.OriginCheck            // pages that may use the control requests
	empty    atomic.Pointer[runtime.MemStats] // without a connection; see getHeap
}

// options are what the command line can change.
type options struct {
	secret     string
	resume     bool          // add the resumable topics
	diffPeriod time.Duration // of the presences
	ping       time.Duration // 0: none
	eventLoop  bool          // EndpointConfig.EventLoop
	batch      int           // of clients that are closed at once; 0: the default
	remote     pubsub.Remote // nil: no others
	logger     *slog.Logger
}

// origins are the pages that may connect, as in the Phoenix application.
var origins = []string{"//localhost"}

func newServer(o options) (*server, error) {
	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: o.secret})
	if err != nil {
		return nil, err
	}
	hub, err := newHub(o.resume, o.remote)
	if err != nil {
		return nil, err
	}
	cfg := websocket.EndpointConfig{PubSub: hub, Logger: o.logger, EventLoop: o.eventLoop, Limits: websocket.EndpointLimits{QueuedBytes: 4 << 30}}
	if o.batch != 0 {
		cfg.Shutdown = websocket.ShutdownConfig{Batch: o.batch, Interval: 100 * time.Millisecond}
	}
	endpoint, err := websocket.NewEndpoint(cfg)
	if err != nil {
		return nil, err
	}
	local, err := websocket.Origins("//localhost", "//127.0.0.1", "//[::1]")
	if err != nil {
		return nil, err
	}
	s := &server{endpoint: endpoint, tokens: tokens, mux: http.NewServeMux(), local: local}
	users := websocket.NewSocket(websocket.SocketConfig[user]{
		Name:    "UserSocket",
		Connect: s.connect,
		ID:      func(u user) string { return "users_socket:" + u.ID },
	})
	users.Channel("user:*", func(u user, _ string) websocket.Handler { return &userChannel{u} })
	users.ChannelWith("room:*", websocket.ChannelConfig{Intercept: []string{"intercepted"}}, func(u user, _ string) websocket.Handler { return &roomChannel{u} })
	if o.resume {
		users.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(u user, _ string) websocket.Handler { return &keptChannel{roomChannel{u}} })
	}
	tracker, err := presence.New(presence.Config{Hub: endpoint.PubSub(), DiffPeriod: o.diffPeriod, Logger: o.logger})
	if err != nil {
		return nil, err
	}
	users.Channel("presence:*", func(u user, _ string) websocket.Handler { return &presenceChannel{user: u, tracker: tracker} })
	users.Channel("realtime:*", func(u user, _ string) websocket.Handler { return &realtimeChannel{user: u, tracker: tracker} })
	s.tracker = tracker
	// Bursts as large as the load tests make them wait in the queues, as they
	// wait in the mailboxes of Phoenix.
	queue := websocket.QueueConfig{Events: 1 << 16, Bytes: 64 << 20}
	mounts := []struct {
		path   string
		config websocket.MountConfig
	}{
		{"/socket", websocket.MountConfig{AuthToken: true, Origins: origins, Limits: websocket.Limits{MessageBytes: 10_000_000, FrameRate: 1_000_000, ByteRate: 1 << 30, JoinRate: 1_000_000},
			Timeouts: websocket.Timeouts{Write: 30 * time.Second, Ping: o.ping}, Queue: queue, LongPoll: &websocket.LongPollConfig{}}},
		// As an application would have it: the queues have the library's defaults.
		{"/limited", websocket.MountConfig{Origins: origins}},
		{"/short", websocket.MountConfig{AuthToken: true, Origins: origins, Timeouts: websocket.Timeouts{Idle: 2 * time.Second},
			LongPoll: &websocket.LongPollConfig{Window: time.Second}}},
	}
	for _, m := range mounts {
		if err := endpoint.Mount(m.path, users, m.config); err != nil {
			return nil, err
		}
	}
	s.routes()
	return s, nil
}

func (s *server) connect(_ context.Context, r *websocket.ConnectRequest) (user, error) {
	data, err := s.tokens.Verify(salt, cmp.Or(r.AuthToken, r.Params.Get("token"), r.Params.Get("apikey")), token.VerifyConfig{MaxAge: maxAge})
	if errors.Is(err, token.ErrExpired) {
		return user{}, &websocket.StatusError{Status: http.StatusUnauthorized, Body: "expired"}
	}
	if err != nil {
		return user{}, err
	}
	id, ok := data.(string)
	if !ok {
		return user{}, websocket.ErrRefused
	}
	return user{ID: id}, nil
}
