package websocket

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// newGrace is how long Shutdown leaves a new connection for its request to come.
const newGrace = 500 * time.Millisecond

// gateConns is the connections of a server.
type gateConns struct {
	limit int // of those that wait

	mu      sync.Mutex
	waiting waiting               // new or idle
	active  map[net.Conn]struct{} // with a request that is served
	cut     bool                  // Drain is over: no request is served any more
}

// state follows a connection, as http.Server.ConnState.
func (g *gate) state(nc net.Conn, state http.ConnState) {
	c := &g.conns
	var closing net.Conn
	c.mu.Lock()
	switch state {
	case http.StateNew, http.StateIdle:
		delete(c.active, nc)
		// By the peer: a connection without a request has no header that names another.
		c.waiting.add(nc, network(remoteAddress(nc)))
		if len(c.waiting.where) > c.limit {
			closing = c.waiting.evict()
		}
	case http.StateActive:
		c.waiting.remove(nc)
		if c.active == nil {
			c.active = make(map[net.Conn]struct{})
		}
		c.active[nc] = struct{}{}
		if c.cut { // its request came when Drain was over
			closing = nc
		}
	default: // closed, or hijacked and no longer the server's
		c.waiting.remove(nc)
		delete(c.active, nc)
	}
	cut := c.cut
	// Closing, logging and counting come without the mutex: the server calls state again.
	c.mu.Unlock()
	if closing == nil {
		return
	}
	if !cut {
		g.refusals.noteAt(closing.RemoteAddr().String(), "", refusedWaiting, "", nil)
	}
	closeConn(closing) // the server calls again with StateClosed
}

// drain is called when Shutdown begins, in a goroutine of its own. The server
// closes idle connections itself.
func (g *gate) drain() {
	// Not for a request that is on its way, but for connections that browsers open ahead:
	// the server itself waits 5 s for those.
	time.AfterFunc(min(newGrace, g.cfg.Timeouts.Drain), func() {
		g.conns.mu.Lock()
		var list []net.Conn
		for nc := range g.conns.waiting.where {
			list = append(list, nc)
		}
		g.conns.mu.Unlock()
		closeConns(list)
	})
	time.AfterFunc(g.cfg.Timeouts.Drain, func() {
		g.conns.mu.Lock()
		g.conns.cut = true
		var list []net.Conn
		for nc := range g.conns.active {
			list = append(list, nc)
		}
		g.conns.mu.Unlock()
		if len(list) > 0 {
			g.cfg.Logger.Warn("requests cut off at the shutdown", "count", len(list), "remote", list[0].RemoteAddr().String())
		}
		closeConns(list)
	})
}

// closeConns closes connections. The caller holds no lock: the server calls state.
func closeConns(list []net.Conn) {
	for _, nc := range list {
		closeConn(nc)
	}
}

// closeConn closes a connection without waiting for its client, as TLS would with
// its last message.
func closeConn(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.Close()
}

// remoteAddress returns the address of a connection's peer; the zero address if it
// has none, as over a unix socket.
func remoteAddress(nc net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}
