//go:build linux

package main

import (
	"net/http"

	"github.com/lxzan/gws"
)

// gwsServer handles the events of gws. Topics are kept by the program, since gws has
// none.
type gwsServer struct {
	gws.BuiltinEventHandler
	topics *topics[*gws.Conn]
}

func newGWS() (server, error) {
	s := &gwsServer{topics: newTopics[*gws.Conn]()}
	up := gws.NewUpgrader(s, &gws.ServerOption{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // so that what the request has used is free, as its examples advise
	})
	return &httpServer{handler: handler, to: s.publish}, nil
}

// publish writes in the background, as everything that must not wait for a client does.
func (s *gwsServer) publish(topic string, payload []byte) error {
	conns, m := s.topics.of(topic), appendMessage(nil, topic, payload)
	if len(conns) == 1 {
		conns[0].WriteAsync(gws.OpcodeText, m, nil)
		return nil
	}
	b := gws.NewBroadcaster(gws.OpcodeText, m)
	for _, c := range conns {
		if err := b.Broadcast(c); err != nil {
			return err
		}
	}
	return b.Close()
}

// OnMessage implements [gws.Event].
func (s *gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }() // it gives a buffer back
	topic, response := respond(m.Bytes())
	if topic != "" {
		s.topics.join(topic, c)
	}
	if response != nil {
		_ = c.WriteMessage(gws.OpcodeText, response) // the client may be gone
	}
}
