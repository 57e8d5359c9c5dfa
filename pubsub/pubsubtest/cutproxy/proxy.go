// Package cutproxy has a proxy between a client and a server whose connections a test
// can cut or stop.
package cutproxy

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes bytes to a server, and refuses to while it is cut. Make one with [New] or
// [Start].
type Proxy struct {
	// Gate is held while nothing passes, although connections stay open.
	Gate sync.RWMutex

	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	isCut bool
}

// New runs a proxy to the host:port target until the end of the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Start runs a proxy to the host:port target until it is closed.
func Start(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, open: make(map[net.Conn]bool)}
	p.running.Go(p.accept)
	return p, nil
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Cut()
	p.running.Wait()
}

// Addr returns the host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		refused := p.isCut
		if !refused {
			p.open[in], p.open[out] = true, true
		}
		p.mu.Unlock()
		if refused {
			_, _ = in.Close(), out.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			p.running.Go(func() {
				_, _ = io.Copy(gated{pair[0], &p.Gate}, pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
			})
		}
	}
}

// gated is a writer that waits at a gate.
type gated struct {
	io.Writer
	gate *sync.RWMutex
}

// Write implements io.Writer.
func (g gated) Write(b []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Writer.Write(b)
}

// Cut ends all connections and refuses new ones until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// Heal lets connections be made again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = false
}
