package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// clients are the WebSocket clients that the program opens against itself. They
// check what they get: each push once, in order, and none of another user's. Two
// goroutines belong to each client: one reads, the other sends heartbeats.
type clients struct {
	// Written by the goroutines that read, read by status.
	open       atomic.Int64 // connections; the others count pushes
	received   atomic.Int64
	duplicates atomic.Int64
	disorder   atomic.Int64 // came after a later one of the same origin
	wrongUser  atomic.Int64
	failed     atomic.Int64 // connections that ended before the program wanted

	// arrived, if set before the clients are dialled, is called for every push of
	// the load generator, by the goroutine that reads: due is when the push was to
	// be made, at when it came.
	arrived func(user string, due, at time.Time)

	// Set before the clients are dialled: what the endpoint knows them by, how they
	// get and renew their tokens, and how they trust the server.
	name       string
	tokenFor   func(user string) (string, error)
	renewEvery time.Duration
	tls        *tls.Config // nil without TLS

	wg sync.WaitGroup // all goroutines of all clients
}

// dialAll opens n clients at addr, for users 1 to n, and returns when all
// of them have joined their channel.
func (c *clients) dialAll(ctx context.Context, addr string, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	// More handshakes at once than this only wait for each other.
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error {
			// The first client is that of user 1, the heavy one.
			user := strconv.Itoa(i + 1)
			// The first failure ends ctx, and with it the other handshakes.
			if err := c.dial(ctx, addr, user); err != nil {
				return fmt.Errorf("client of user %s: %w", user, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// dial opens a client, joins the channel of user and starts to read. ctx bounds the
// join only: the client then lives until the server closes the connection.
func (c *clients) dial(ctx context.Context, addr, user string) error {
	tok, err := c.tokenFor(user)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	target := "ws://" + addr + "/socket/websocket?vsn=2.0.0"
	options := &websocket.DialOptions{Subprotocols: subprotocols(tok), HTTPHeader: http.Header{ownHeader: {c.name}}}
	if c.tls != nil {
		target = "wss" + strings.TrimPrefix(target, "ws")
		transport := &http.Transport{TLSClientConfig: c.tls}
		// The connection is the WebSocket's by then: only what failed is left.
		defer transport.CloseIdleConnections()
		options.HTTPClient = &http.Client{Transport: transport}
	}
	conn, _, err := websocket.Dial(ctx, target, options)
	if err != nil {
		return err
	}
	topic := topicOf(user)
	// Join ref and ref are both "1": it is the only join of the connection.
	join, _ := json.Marshal([]any{"1", "1", topic, "phx_join", struct{}{}})
	if err := conn.Write(ctx, websocket.MessageText, join); err != nil {
		conn.CloseNow()
		return err
	}
	// The first frame is the reply: no push comes before the join has succeeded.
	_, reply, err := conn.Read(ctx)
	if err != nil {
		conn.CloseNow()
		return err
	}
	// Of the reply's payload, only what says whether the join was allowed.
	var status struct {
		Status string `json:"status"`
	}
	m, err := decodeFrame(reply)
	if err == nil {
		err = json.Unmarshal(m.payload, &status)
	}
	if err != nil || status.Status != "ok" {
		conn.CloseNow()
		return fmt.Errorf("join was refused: %.200s", reply)
	}
	c.open.Add(1)
	c.wg.Go(func() {
		defer c.open.Add(-1)
		defer conn.CloseNow()
		c.read(conn, user)
	})
	return nil
}

// frame is a message of the Channels protocol, version 2, without its refs.
type frame struct {
	topic, event string
	payload      json.RawMessage
}

// decodeFrame parses [join_ref, ref, topic, event, payload].
func decodeFrame(data []byte) (frame, error) {
	var parts []json.RawMessage
	var f frame
	if err := json.Unmarshal(data, &parts); err != nil {
		return f, err
	}
	// Version 2 of the protocol has five parts, of which the refs may be null.
	if len(parts) != 5 {
		return f, fmt.Errorf("a frame of %d parts", len(parts))
	}
	if err := json.Unmarshal(parts[2], &f.topic); err != nil {
		return f, err
	}
	if err := json.Unmarshal(parts[3], &f.event); err != nil {
		return f, err
	}
	f.payload = parts[4]
	return f, nil
}

// read takes what the server sends until it closes the connection, and sends
// heartbeats meanwhile.
func (c *clients) read(conn *websocket.Conn, user string) {
	topic := topicOf(user)
	// Ends the heartbeat when the connection has ended.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.wg.Go(func() { c.heartbeat(ctx, conn, user) })
	last := make(map[string]uint64) // sequence number of the last push, by origin
	for {
		_, data, err := conn.Read(ctx)
		// Before decoding, which must not count as part of the latency.
		now := time.Now()
		if err != nil {
			// 1001 is what the endpoint sends at its own end.
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				c.failed.Add(1)
			}
			return
		}
		f, err := decodeFrame(data)
		// Replies to heartbeats come here too and are ignored.
		if err != nil || f.event != event {
			continue
		}
		c.received.Add(1)
		if f.topic != topic {
			c.wrongUser.Add(1)
			continue
		}
		var p struct {
			Seq    uint64  `json:"seq"`
			Origin string  `json:"origin"`
			At     float64 `json:"at"` // unix milliseconds
			Data   struct {
				To string `json:"to"` // as the load generator wrote it
			} `json:"data"`
		}
		if json.Unmarshal(f.payload, &p) != nil {
			continue
		}
		// A push from POST /push has no To, and only its topic is checked.
		if to := p.Data.To; to != "" && "user:"+to != topic {
			c.wrongUser.Add(1)
			continue
		} else if to != "" && c.arrived != nil {
			c.arrived(to, time.UnixMicro(int64(math.Round(p.At*1000))), now)
		}
		// Numbers of one origin only grow. A gap is no fault: pushes of a full
		// queue are discarded, and counted there.
		switch {
		case p.Seq == last[p.Origin]:
			c.duplicates.Add(1)
		case p.Seq < last[p.Origin]:
			c.disorder.Add(1)
		default:
			last[p.Origin] = p.Seq
		}
	}
}

// heartbeat keeps the server from closing an idle connection after 60 s, and renews
// the client's token before its end.
func (c *clients) heartbeat(ctx context.Context, conn *websocket.Conn, user string) {
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	renewal := time.NewTicker(c.renewEvery)
	defer renewal.Stop()
	for {
		message := []byte(`[null,"0","phoenix","heartbeat",{}]`)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-renewal.C:
			tok, err := c.tokenFor(user)
			if err != nil {
				return // the server closes the connection, which counts
			}
			message, _ = json.Marshal([]any{nil, "0", "phoenix", "renew", map[string]string{"token": tok}})
		}
		if conn.Write(ctx, websocket.MessageText, message) != nil {
			return
		}
	}
}

// wait blocks until every client has ended, or ctx is done.
func (c *clients) wait(ctx context.Context) error {
	// It remains, with its goroutine, if ctx is done first.
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("clients: %w", context.Cause(ctx))
	}
}
