package channeltest

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Pause stops reading from the server, as a client does that hangs: what the
// server sends stays in its queue. Assertions still find what came before.
func (c *Client) Pause() { c.in.pause() }

// Resume goes on reading.
func (c *Client) Resume() { c.in.resume() }

// Discard has the client count the messages that come from now on, in count, and
// keep none: for a benchmark, which asserts nothing more.
func (c *Client) Discard(count *atomic.Int64) { c.discarded.Store(count) }

// gate is the reading side of a connection that can be shut for a while. Read is
// called by one goroutine; pause and resume by any.
type gate struct {
	nc     net.Conn
	mu     sync.Mutex
	opened sync.Cond // signals that paused is false; its lock is mu
	paused bool      // guarded by mu
}

// newGate returns an open gate.
func newGate(nc net.Conn) *gate {
	g := &gate{nc: nc}
	g.opened.L = &g.mu
	return g
}

// pause also interrupts a Read that waits: otherwise it would still take one
// message.
func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = true
	_ = g.nc.SetReadDeadline(time.Unix(1, 0)) // ends a Read that waits; fails on a closed connection
}

// resume opens the gate. It clears the deadline before Read can go on.
func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = false
	_ = g.nc.SetReadDeadline(time.Time{}) // fails on a closed connection
	g.opened.Broadcast()
}

// Read reads from the connection while the gate is open.
func (g *gate) Read(p []byte) (int, error) {
	for {
		g.mu.Lock()
		for g.paused {
			g.opened.Wait()
		}
		g.mu.Unlock()
		n, err := g.nc.Read(p)
		// The deadline is only how pause interrupts: Read waits for resume
		// then.
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}
