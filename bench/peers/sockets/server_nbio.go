//go:build linux

package main

import (
	"net"
	"net/http"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioServer has epoll loops of nbio and no goroutine for a connection. Topics are kept
// by the program, since nbio has none.
type nbioServer struct {
	topics *topics[*websocket.Conn]
	up     *websocket.Upgrader
}

func newNbio() (server, error) {
	logging.SetLevel(logging.LevelNone)
	s := &nbioServer{topics: newTopics[*websocket.Conn](), up: websocket.NewUpgrader()}
	s.up.KeepaliveTime = 0
	s.up.OnMessage(func(c *websocket.Conn, _ websocket.MessageType, m []byte) {
		topic, response := respond(m)
		if topic != "" {
			s.topics.join(topic, c)
		}
		if response != nil {
			_ = c.WriteMessage(websocket.TextMessage, response) // the client may be gone
		}
	})
	return s, nil
}

func (s *nbioServer) serve(l net.Listener) error {
	return nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{l.Addr().String()}, MaxLoad: 1 << 20,
		Listen: func(string, string) (net.Listener, error) { return l, nil },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = s.up.Upgrade(w, r, nil) // it has responded if it fails
		}),
	}).Start()
}

func (s *nbioServer) publish(topic string, payload []byte) error {
	m := appendMessage(nil, topic, payload)
	for _, c := range s.topics.of(topic) {
		if err := c.WriteMessage(websocket.TextMessage, m); err != nil {
			return err
		}
	}
	return nil
}
