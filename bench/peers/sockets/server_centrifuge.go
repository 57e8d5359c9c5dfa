//go:build linux

package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

// newCentrifuge makes a node with its memory broker, with the defaults, or, with a delay above 0, as its
// documentation advises for many messages: writes gathered for so long by a timer, any
// number in a frame, and shared write buffers.
func newCentrifuge(delay time.Duration) func() (server, error) {
	return func() (server, error) {
		node, err := centrifuge.New(centrifuge.Config{})
		if err != nil {
			return nil, err
		}
		node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
			r := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}
			if delay > 0 {
				r.WriteDelay, r.WriteWithTimer, r.MaxMessagesInFrame = delay, true, -1
				r.ReplyWithoutQueue = true
			}
			return r, nil
		})
		node.OnConnect(func(c *centrifuge.Client) {
			c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
				done(centrifuge.SubscribeReply{}, nil)
			})
			c.OnRPC(func(e centrifuge.RPCEvent, done centrifuge.RPCCallback) {
				done(centrifuge.RPCReply{Data: e.Data}, nil)
			})
		})
		if err := node.Run(); err != nil {
			return nil, err
		}
		cfg := centrifuge.WebsocketConfig{CheckOrigin: func(*http.Request) bool { return true }, UseWriteBufferPool: delay > 0,
			ProcessCommandsOffReadLoop: delay > 0}
		mux := http.NewServeMux()
		mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, cfg))
		return &httpServer{handler: mux, to: func(topic string, payload []byte) error {
			_, err := node.Publish(topic, payload)
			return err
		}}, nil
	}
}

// httpServer is a server of which net/http accepts the connections.
type httpServer struct {
	handler http.Handler
	to      func(topic string, payload []byte) error
}

func (s *httpServer) serve(l net.Listener) error {
	go func() { _ = http.Serve(l, s.handler) }() // it ends with the process
	return nil
}

func (s *httpServer) publish(topic string, payload []byte) error { return s.to(topic, payload) }
