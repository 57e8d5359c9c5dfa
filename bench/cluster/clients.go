//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/token"
)

// name returns the id of a user.
func name(user int) string { return strconv.Itoa(user + 1) }

// The parts of a socket token of the push pipeline.
const (
	tokenSalt = "user socket"
	fieldUser = "user"
	fieldEnds = "exp"
)

const (
	// beat is how often a client sends a heartbeat, which is replied to.
	beat = time.Second
	// silence is after how long without a frame an impatient client gives up.
	silence = 3 * time.Second
	// handshake bounds connecting and joining: a node that stands still accepts
	// connections all the same.
	handshake = 3 * time.Second
	// lingering is how long a connection that was given up is read on.
	lingering = 30 * time.Second
)

// crowd is one client for each user.
type crowd struct {
	nodes      []string // addresses
	ledger     *ledger
	begun      time.Time
	clients    []*client
	reconnects atomic.Int64
	expelled   atomic.Int64 // channels that ended although their connection did not
	connected  atomic.Int64
	away       absences // of phoenix clients
	running    sync.WaitGroup
}

// client is that of one user. The goroutine of run owns it.
type client struct {
	*crowd
	user  int
	token string
	// Gives a silent connection up.
	impatient bool
	r         *rand.Rand
	at        atomic.Int32 // index of its node; -1 while it is not connected
}

func newCrowd(users int, nodes []string, secret string, l *ledger, begun time.Time, seed uint64) (*crowd, error) {
	tokens, err := token.NewPhoenix(token.PhoenixConfig{SecretKeyBase: secret})
	if err != nil {
		return nil, err
	}
	c := &crowd{nodes: nodes, ledger: l, begun: begun, away: absences{since: map[string]time.Time{}}}
	for user := range users {
		fields := map[string]any{fieldUser: name(user), fieldEnds: time.Now().Add(24 * time.Hour).UnixMilli()}
		tok, err := tokens.Sign(tokenSalt, fields, token.SignConfig{MaxAge: 24 * time.Hour})
		if err != nil {
			return nil, err
		}
		one := &client{crowd: c, user: user, token: tok, impatient: user%5 < 3, r: rand.New(rand.NewPCG(seed, 3+uint64(user)))}
		one.at.Store(-1)
		c.clients = append(c.clients, one)
	}
	return c, nil
}

// start connects all clients. They run until ctx is done.
func (c *crowd) start(ctx context.Context) {
	for _, one := range c.clients {
		c.running.Go(func() { one.run(ctx) })
	}
}

// run keeps the client connected to a node that is drawn, another one each time.
func (c *client) run(ctx context.Context) {
	node := c.r.IntN(len(c.nodes))
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			// As phoenix.js does at first: the waits of its later attempts are longer.
			if !rest(ctx, time.Duration(10+c.r.IntN(100))*time.Millisecond) {
				return
			}
			if len(c.nodes) > 1 {
				node = (node + 1 + c.r.IntN(len(c.nodes)-1)) % len(c.nodes)
			}
		}
		s, err := c.connect(ctx, c.nodes[node])
		if err != nil {
			continue
		}
		if !first {
			c.reconnects.Add(1)
		}
		c.at.Store(int32(node))
		c.connected.Add(1)
		s.stay(ctx)
		c.connected.Add(-1)
		c.at.Store(-1)
	}
}

// session is one connection of a client.
type session struct {
	*client
	conn    *net.TCPConn
	frames  *bufio.Reader
	heard   atomic.Int64  // when the last frame came, since the beginning
	givenUp atomic.Bool   // the client has
	over    chan struct{} // closed when nothing more can be read
}

// connect makes a connection and joins the user's topic.
func (c *client) connect(ctx context.Context, addr string) (_ *session, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	dialer := ws.Dialer{Protocols: []string{"phoenix", "base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(c.token))}}
	conn, frames, _, err := dialer.Dial(ctx, "ws://"+addr+"/socket/websocket?vsn=2.0.0")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("%T is no TCP connection", conn)
	}
	if frames == nil {
		frames = bufio.NewReader(conn)
	}
	s := &session{client: c, conn: tcp, frames: frames, over: make(chan struct{})}
	deadline, _ := ctx.Deadline()
	if err = conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if err = s.send(`["1","1","user:` + name(c.user) + `","phx_join",{}]`); err != nil {
		return nil, err
	}
	// A push may come right behind the reply, and not before it.
	reply, err := s.next()
	if err != nil {
		return nil, err
	}
	var body struct{ Status string }
	if reply.event != "phx_reply" || json.Unmarshal(reply.payload, &body) != nil || body.Status != "ok" {
		return nil, fmt.Errorf("the join was answered with %s %s", reply.event, reply.payload)
	}
	return s, conn.SetDeadline(time.Time{})
}

// stay reads until the connection ends, or the client gives it up. Then another
// goroutine reads what is still on its way.
func (s *session) stay(ctx context.Context) {
	s.heard.Store(int64(time.Since(s.begun)))
	s.running.Go(s.read)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-ctx.Done():
			_ = s.conn.Close()
			return
		case <-tick.C:
		}
		if quiet := time.Since(s.begun) - time.Duration(s.heard.Load()); s.impatient && quiet > silence {
			// The kernel says so to the node, as it does when a client closes; what the node
			// has written before it learns of it is still read here.
			s.givenUp.Store(true)
			_ = s.conn.CloseWrite()
			_ = s.conn.SetReadDeadline(time.Now().Add(lingering))
			return
		}
		// An error is left to the reader, which first gets what is there to read.
		_ = s.send(`[null,"h","phoenix","heartbeat",{}]`)
	}
}

// read notes what comes until the connection ends.
func (s *session) read() {
	defer close(s.over)
	defer s.conn.Close()
	for {
		f, err := s.next()
		if err != nil {
			return
		}
		now := time.Since(s.begun)
		s.heard.Store(int64(now))
		switch f.event {
		case "push_timed":
		case "phx_error", "phx_close":
			// Its channel is over. phoenix.js joins again; this client connects again.
			if f.topic == "user:"+name(s.user) {
				s.expelled.Add(1)
				return
			}
			continue
		default:
			continue
		}
		var p struct {
			Data struct {
				To string
				N  int
			}
		}
		if f.topic != "user:"+name(s.user) || json.Unmarshal(f.payload, &p) != nil || p.Data.To != name(s.user) {
			s.ledger.stray()
			continue
		}
		s.ledger.deliver(s.user, p.Data.N, now, !s.givenUp.Load())
	}
}

// send writes a text frame. Only one goroutine may call it at a time.
func (s *session) send(message string) error {
	return ws.WriteFrame(s.conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte(message))))
}

// frame is a message of the server.
type frame struct {
	topic, event string
	payload      json.RawMessage
}

var errClosed = errors.New("closed by the server")

// next reads the next message.
func (s *session) next() (f frame, err error) {
	for {
		header, err := ws.ReadHeader(s.frames)
		if err != nil {
			return f, err
		}
		body := make([]byte, header.Length)
		if _, err := io.ReadFull(s.frames, body); err != nil {
			return f, err
		}
		switch header.OpCode {
		case ws.OpClose:
			return f, errClosed
		case ws.OpText:
		default:
			continue // the servers of this test send no pings that want a reply
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(body, &parts); err != nil || len(parts) != 5 {
			return f, fmt.Errorf("not a message: %s", body)
		}
		f.payload = parts[4]
		return f, errors.Join(json.Unmarshal(parts[2], &f.topic), json.Unmarshal(parts[3], &f.event))
	}
}

// rest waits, and reports whether ctx is not done.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
