//go:build linux

package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// penstockServer is an endpoint as bench/channelserver has it.
type penstockServer struct{ endpoint *websocket.Endpoint }

func newPenstock(eventLoop bool) func() (server, error) {
	return func() (server, error) { return startPenstock(eventLoop) }
}

func startPenstock(eventLoop bool) (server, error) {
	quiet := slog.New(slog.DiscardHandler)
	hub, err := pubsub.New(pubsub.Config{})
	if err != nil {
		return nil, err
	}
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{PubSub: hub, Logger: quiet, EventLoop: eventLoop,
		Limits: websocket.EndpointLimits{QueuedBytes: 4 << 30}})
	if err != nil {
		return nil, err
	}
	users := websocket.NewSocket(websocket.SocketConfig[struct{}]{
		Name:    "UserSocket",
		Connect: func(context.Context, *websocket.ConnectRequest) (struct{}, error) { return struct{}{}, nil },
	})
	users.Channel("user:*", func(struct{}, string) websocket.Handler { return penstockChannel{} })
	users.Channel("room:*", func(struct{}, string) websocket.Handler { return penstockChannel{} })
	// The queues take the bursts of a server that publishes flat out.
	err = endpoint.Mount("/socket", users, websocket.MountConfig{
		Limits:   websocket.Limits{FrameRate: 1_000_000, ByteRate: 1 << 30, JoinRate: 1_000_000},
		Timeouts: websocket.Timeouts{Write: 30 * time.Second},
		Queue:    websocket.QueueConfig{Events: 1 << 16, Bytes: 64 << 20},
	})
	return &penstockServer{endpoint}, err
}

func (s *penstockServer) serve(l net.Listener) error {
	// All clients have one address, and connect at once.
	server, err := websocket.NewServer(s.endpoint, websocket.ServerConfig{Plaintext: true, Logger: slog.New(slog.DiscardHandler),
		Hosts: []string{"127.0.0.1"}, Limits: websocket.ServerLimits{Waiting: 1 << 18, Requests: 1 << 18}})
	if err == nil {
		go func() { _ = server.Serve(l) }() // it ends with the process
	}
	return err
}

func (s *penstockServer) publish(topic string, payload []byte) error {
	_, err := s.endpoint.Broadcast(context.Background(), topic, "msg", payload)
	return err
}

// penstockChannel sends back what it gets.
type penstockChannel struct{}

func (penstockChannel) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return nil, nil
}

func (penstockChannel) HandleIn(_ context.Context, _ *websocket.Channel, _ string, p websocket.Payload) (websocket.Reply, error) {
	return websocket.OK(p), nil
}
