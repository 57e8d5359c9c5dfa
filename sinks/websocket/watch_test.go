package websocket

import (
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// deadlineConn has nothing to read. As the runtime's poller does, its Read looks again at
// a deadline that has woken it, and goes on if that is in the future by then.
type deadlineConn struct {
	net.Conn
	woken func() // runs once between the wake and the look

	mu    sync.Mutex // guards at and moved
	at    time.Time
	moved chan struct{} // closed when at changes
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	close(d.moved)
	d.moved = make(chan struct{})
	return nil
}

func (d *deadlineConn) look() (at time.Time, moved <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.moved
}

func (d *deadlineConn) Read([]byte) (int, error) {
	past := func(at time.Time) bool { return !at.IsZero() && !at.After(time.Now()) }
	for {
		at, moved := d.look()
		if past(at) && d.woken != nil {
			d.woken()
			d.woken = nil
			at, moved = d.look()
		}
		if past(at) {
			return 0, os.ErrDeadlineExceeded
		}
		var due <-chan time.Time
		if !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-moved:
		case <-due:
		}
	}
}

// TestAReadAheadEndsAlthoughTheCloseFrameGoesOut: the deadline for the client's close
// frame does not take the place of the one that ends the read ahead.
func TestAReadAheadEndsAlthoughTheCloseFrameGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m := endpointForTest(t)
		c := newConn(m, admission{format: m.endpoint.formats.of(codec.V2)})
		nc := &deadlineConn{woken: c.sentClose, moved: make(chan struct{})}
		c.nc = nc
		c.alive()
		stop := c.watch(func() { t.Error("the client counts as gone") })
		c.mu.Lock()
		var do effects
		c.out.close(1000, ErrDisconnected, true, &do)
		c.mu.Unlock()
		begun := time.Now()
		stop()
		if d := time.Since(begun); d != 0 {
			t.Errorf("the read ahead went on for %v", d)
		}
		if at, _ := nc.look(); !at.Equal(begun.Add(m.cfg.Timeouts.Close)) {
			t.Errorf("the deadline afterwards is %v after the close frame, want %v", at.Sub(begun), m.cfg.Timeouts.Close)
		}
	})
}
