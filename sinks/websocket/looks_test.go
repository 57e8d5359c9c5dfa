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

// TestLooksOfTheSilent: the goroutine of a silent client wakes when the idle timeout has
// passed, and not before, also where connections cannot rest.
func TestLooksOfTheSilent(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(c *conn) error
	}{
		{"between messages", func(c *conn) error {
			for {
				_, err := c.nc.Read(nil)
				if err = c.goOn(err); err != nil {
					return err
				}
				if c.rests() {
					t.Error("it rests")
				}
			}
		}},
		{"inside of a header", func(c *conn) error {
			_, err := c.receive(make([]byte, 1))
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, nc := undescribedConn(t)
				_ = one.readUntil(one.silentUntil(time.Now()))
				begin := time.Now()
				if err := c.read(one); !errors.Is(err, errIdle) {
					t.Error(err)
				}
				if d := time.Since(begin); d != time.Minute {
					t.Errorf("idle after %v, want the timeout", d)
				}
				if n := nc.moved(); n > 1 {
					t.Errorf("%d deadlines, want one", n)
				}
			})
		})
	}
}

// TestLooksOfTheBusy: the deadline of a client that goes on sending is not moved for each
// message.
func TestLooksOfTheBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, nc := undescribedConn(t)
		for range 1000 {
			if one.rests() {
				t.Fatal("it rests")
			}
			if one.readBy == 0 {
				_ = one.readUntil(one.silentUntil(time.Now()))
			}
			time.Sleep(10 * time.Millisecond)
			one.alive()
		}
		if n := nc.moved(); n > 1 {
			t.Errorf("%d deadlines in 10 s, want one", n)
		}
	})
}

// TestReadAfterRest: a read that has to wait inside of a message has a deadline, although
// the connection had none while it rested.
func TestReadAfterRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := undescribedConn(t)
		begin := time.Now()
		if _, err := one.receive(make([]byte, 1)); !errors.Is(err, errIdle) {
			t.Error(err)
		}
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("idle after %v, want the timeout", d)
		}
	})
}

// undescribedConn is a connection that cannot rest.
func undescribedConn(t *testing.T) (*conn, *clockedConn) {
	_, m := endpointForTest(t)
	nc := &clockedConn{}
	one := newConn(m, admission{})
	one.nc, one.raw = nc, undescribed{}
	one.alive()
	return one, nc
}

// moved returns how many deadlines were set but for those that only remove one.
func (c *clockedConn) moved() (n int) {
	for _, at := range c.deadlines {
		if !at.IsZero() {
			n++
		}
	}
	return n
}
