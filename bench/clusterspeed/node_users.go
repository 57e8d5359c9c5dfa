//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// some are users of a node: those of so many nodes whose turn it is.
type some struct {
	Users int `json:"users"` // of all nodes
	First int `json:"first"`
	Every int `json:"every"` // 0: none
}

// taker takes a delivery and has it at once, as a socket that is never busy.
func taker(m *pubsub.Message) bool {
	if t := m.Tally(); t != nil {
		t.Take()
		t.Report(time.Now(), nil)
	}
	return true
}

// setUsers replaces the users of this node, which are functions.
func (n *node) setUsers(ctx context.Context, cfg some) (none, error) {
	for _, s := range n.users {
		s.Unsubscribe()
	}
	n.users = nil
	if cfg.Every == 0 {
		return none{}, n.remote.Sync(ctx)
	}
	all := names(cfg.Users)
	for i := cfg.First; i < len(all); i += cfg.Every {
		s, err := n.hub.Subscribe(all[i], pubsub.SubscriberFunc(taker))
		if err != nil {
			return none{}, err
		}
		n.users = append(n.users, s)
	}
	for i := cfg.First; i < len(all); i += cfg.Every {
		n.hub.Settle(ctx, all[i])
	}
	return none{}, nil
}

// listen opens the sockets of this node to clients.
func (n *node) listen(context.Context, none) (address string, err error) {
	socket := websocket.NewSocket(websocket.SocketConfig[none]{
		Connect: func(context.Context, *websocket.ConnectRequest) (none, error) { return none{}, nil },
	})
	socket.Channel("user:*", func(none, string) websocket.Handler {
		return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
	})
	if err := n.sockets.Mount("/socket", socket, websocket.MountConfig{}); err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: n.sockets, ReadHeaderTimeout: patience}
	n.run("the web server", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() {
			limit, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_ = errors.Join(n.sockets.Close(limit), server.Close()) // the process ends
		})()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return l.Addr().String(), nil
}
