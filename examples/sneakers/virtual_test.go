package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// pipes is a listener whose connections are net.Pipe, so that time in a synctest bubble
// stands still only while everything waits.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- loopbackConn{there}:
		return here, nil
	case <-p.done:
		return nil, io.ErrClosedPipe
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return loopbackAddr }

var loopbackAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4020}

// loopbackConn is a pipe that counts as a connection of this machine.
type loopbackConn struct{ net.Conn }

func (loopbackConn) LocalAddr() net.Addr  { return loopbackAddr }
func (loopbackConn) RemoteAddr() net.Addr { return loopbackAddr }

// town is a shop of several nodes in the virtual time of a bubble: all of it is in this
// process, and nothing waits for a network.
type town struct {
	t       *testing.T
	network *pubsubtest.Network
	args    []string
}

func newTown(t *testing.T, args ...string) *town {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	return &town{t, pubsubtest.NewNetwork(), append([]string{"-secret-file", secret, "-database", filepath.Join(t.TempDir(), "shop.db")}, args...)}
}

// node starts a node.
func (w *town) node(name string) *app {
	w.t.Helper()
	cfg, err := parseConfig(w.args, io.Discard, logWriter{w.t})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.listener, cfg.remote = newPipes(), w.network.Remote(name)
	a, err := newApp(w.t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	serve(w.t, a)
	return a
}
