package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// cable is a member's connections, which can be cut.
type cable struct {
	// silent leaves the broker's ends of cut connections open, as when a machine has died:
	// the embedded broker starts no session timer for a member that it answers on a closed
	// connection, so that the death of one that joins holds up its group for the rebalance
	// timeout, a minute. They are closed by hangUp.
	silent bool
	wire   func(net.Conn) net.Conn

	mu    sync.Mutex
	conns []net.Conn
	gone  bool
}

// cord is a member's end of a connection of a silent cable.
type cord struct {
	net.Conn
	cable *cable
}

func (c cord) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cable.isCut() {
		return 0, errCut
	}
	return n, err
}

func (c cord) Write(b []byte) (int, error) {
	if c.cable.isCut() {
		return 0, errCut
	}
	return c.Conn.Write(b)
}

// Close leaves a connection open that was cut.
func (c cord) Close() error { return c.intact(c.Conn.Close) }

func (c cord) SetDeadline(t time.Time) error {
	return c.intact(func() error { return c.Conn.SetDeadline(t) })
}

func (c cord) SetReadDeadline(t time.Time) error {
	return c.intact(func() error { return c.Conn.SetReadDeadline(t) })
}

func (c cord) SetWriteDeadline(t time.Time) error {
	return c.intact(func() error { return c.Conn.SetWriteDeadline(t) })
}

// intact calls f unless the connection was cut: then it stays as cut has left it.
func (c cord) intact(f func() error) error {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if c.cable.gone {
		return nil
	}
	return f()
}

func (c *cable) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

var errCut = errors.New("cable is cut")

func (c *cable) over(opts []kgo.Opt) func(context.Context, string, string) (net.Conn, error) {
	dial := (&net.Dialer{}).DialContext
	for _, o := range opts {
		probe, err := kgo.NewClient(o)
		if err != nil {
			panic(err)
		}
		if d, ok := probe.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error)); ok && d != nil {
			dial = d
		}
		probe.Close()
	}
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		if c.wire != nil {
			conn = c.wire(conn)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.gone {
			_ = conn.Close()
			return nil, errCut
		}
		c.conns = append(c.conns, conn)
		if c.silent {
			return cord{conn, c}, nil
		}
		return conn, nil
	}
}

// mend lets new connections be made.
func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = false
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for _, conn := range c.conns {
		if c.silent {
			_ = conn.SetDeadline(time.Unix(1, 0)) // reads and writes fail from now on
		} else {
			_ = conn.Close()
		}
	}
}

// hangUp closes what a silent cut has left open.
func (c *cable) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}
