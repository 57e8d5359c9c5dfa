package nats_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy passes bytes to a server, and refuses to while it is cut.
type proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	// gate is held while nothing passes, although connections stay open.
	gate sync.RWMutex

	mu    sync.Mutex
	open  map[net.Conn]bool
	isCut bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, open: make(map[net.Conn]bool)}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
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
				_, _ = io.Copy(gated{pair[0], &p.gate}, pair[1])
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

func (g gated) Write(b []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Writer.Write(b)
}

// cut ends all connections and refuses new ones until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = false
}
