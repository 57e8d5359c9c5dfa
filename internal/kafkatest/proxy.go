package kafkatest

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Proxy stands between a client and the brokers, and breaks what passes through it. Its
// zero value passes everything. A client gets it by kgo.Dialer(proxy.Dial).
type Proxy struct {
	mu    sync.Mutex
	conns map[*proxied]struct{}
	down  bool          // refuses new connections
	held  chan struct{} // closed when a hold ends; nil: nothing is held
	delay time.Duration
	dials int
}

var errDown = errors.New("kafkatest: the proxy is down")

// Dial opens a connection through the proxy.
func (p *Proxy) Dial(ctx context.Context, network, host string) (net.Conn, error) {
	p.mu.Lock()
	p.dials++
	down := p.down
	p.mu.Unlock()
	if down {
		return nil, errDown
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	c := &proxied{Conn: conn, p: p, closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = conn.Close()
		return nil, errDown
	}
	if p.conns == nil {
		p.conns = map[*proxied]struct{}{}
	}
	p.conns[c] = struct{}{}
	return c, nil
}

// Cut resets all connections. New ones are possible at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset instead of an orderly end
		}
		_ = c.Conn.Close()
	}
}

// SetDown cuts all connections and refuses new ones, until it is called with false.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.Cut()
	}
}

// Hold passes nothing and closes nothing, as a network that drops all packets, until
// Release.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Release ends a hold: what was written meanwhile is sent.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		return
	}
	close(p.held)
	p.held = nil
	for c := range p.conns {
		if len(c.unsent) > 0 {
			_, _ = c.Conn.Write(c.unsent)
			c.unsent = nil
		}
	}
}

// SetDelay delays each write of the client by d.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Dials is the number of attempts to connect until now.
func (p *Proxy) Dials() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

// proxied is one connection.
type proxied struct {
	net.Conn
	p      *Proxy
	once   sync.Once
	closed chan struct{}
	// Guarded by p.mu.
	unsent   []byte    // written during a hold
	deadline time.Time // of reads; zero: none
}

// Read waits for the end of a hold, at most until the deadline.
func (c *proxied) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	c.p.mu.Lock()
	held, deadline := c.p.held, c.deadline
	c.p.mu.Unlock()
	if held == nil {
		return n, nil
	}
	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-held:
		return n, nil
	case <-c.closed:
		return 0, net.ErrClosed
	case <-late:
		return 0, os.ErrDeadlineExceeded
	}
}

// Write keeps what is written during a hold, as the buffers of a socket do.
func (c *proxied) Write(b []byte) (int, error) {
	c.p.mu.Lock()
	if c.p.held != nil {
		c.unsent = append(c.unsent, b...)
		c.p.mu.Unlock()
		return len(b), nil
	}
	delay := c.p.delay
	c.p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return c.Conn.Write(b)
}

// SetReadDeadline implements net.Conn.
func (c *proxied) SetReadDeadline(t time.Time) error {
	c.p.mu.Lock()
	c.deadline = t
	c.p.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *proxied) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *proxied) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.p.mu.Lock()
	delete(c.p.conns, c)
	c.p.mu.Unlock()
	return c.Conn.Close()
}
