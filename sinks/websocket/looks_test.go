package websocket

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// clockedConn is a connection whose client is silent. A read waits for the read deadline.
// It keeps all deadlines.
type clockedConn struct {
	net.Conn
	deadlines []time.Time
}

func (c *clockedConn) SetReadDeadline(t time.Time) error {
	c.deadlines = append(c.deadlines, t)
	return nil
}

func (c *clockedConn) Read([]byte) (int, error) {
	time.Sleep(time.Until(c.deadlines[len(c.deadlines)-1]))
	return 0, os.ErrDeadlineExceeded
}

// undescribed is a connection that no epoll takes.
type undescribed struct{ syscall.RawConn }

func (undescribed) Control(func(uintptr)) error { return errors.New("it has no descriptor") }

// TestLooksOfTheSilent: a client that is silent, whatever it sent before, wakes its goroutine
// once a second at most, also where connections cannot rest.
func TestLooksOfTheSilent(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(c *conn) error
		most int // of deadlines
	}{
		// Two short looks, one each second, and the end.
		{"between messages", func(c *conn) error {
			for {
				_, err := c.nc.Read(nil)
				if err = c.goOn(err, true); err != nil {
					return err
				}
				if c.rests() {
					t.Error("it rests")
				}
			}
		}, 63},
		{"inside of a header", func(c *conn) error {
			_, err := c.receive(make([]byte, 1))
			return err
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, m := endpointForTest(t)
				e.resting.after = restAfter
				nc := &clockedConn{}
				one := newConn(m, admission{})
				one.nc, one.raw = nc, undescribed{}
				one.alive()
				one.shortLooks = maxShortLooks
				_ = one.readUntil(one.nextLook(time.Now()))
				begin := time.Now()
				if err := c.read(one); !errors.Is(err, errIdle) {
					t.Error(err)
				}
				if d := time.Since(begin); d != time.Minute {
					t.Errorf("idle after %v, want the timeout", d)
				}
				if n := len(nc.deadlines); n > c.most {
					t.Errorf("%d deadlines, want %d at most", n, c.most)
				}
			})
		})
	}
}

// TestLooksOfTheBusy: a client that goes on sending after its join is not looked for
// every few milliseconds for ever.
func TestLooksOfTheBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := endpointForTest(t)
		nc := &clockedConn{}
		one := newConn(m, admission{})
		one.nc, one.raw = nc, undescribed{}
		one.alive()
		one.shortLooks = maxShortLooks
		_ = one.readUntil(one.nextLook(time.Now()))
		for begin := time.Now(); time.Since(begin) < 10*time.Second; {
			_, err := nc.Read(nil)
			one.alive()
			one.lastRead -= time.Millisecond // it has sent something meanwhile
			if err = one.goOn(err, true); err != nil || one.rests() {
				t.Fatal("the end of a busy connection", err)
			}
		}
		if n := len(nc.deadlines); n > maxShortLooks+12 {
			t.Errorf("%d deadlines in 10 s", n)
		}
	})
}

// TestLookSooner: the read deadline that a message has left is not later than the next look.
func TestLookSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := endpointForTest(t)
		nc := &clockedConn{}
		one := newConn(m, admission{})
		one.nc, one.raw = nc, undescribed{}
		now := time.Now()
		one.alive()
		for _, c := range []struct {
			name  string
			short uint8
			set   time.Duration
			want  time.Duration
		}{
			{"sooner", 0, restAfter / 2, restAfter / 2},
			{"of a message", 0, 10 * time.Second, restAfter},
			{"before the join", maxShortLooks, restAfter, soonRestAfter},
		} {
			one.shortLooks = c.short
			_ = one.readUntil(now.Add(c.set))
			one.lookSooner()
			if got := nc.deadlines[len(nc.deadlines)-1].Sub(now); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	})
}
