package websocket_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// large broadcasts a frame of more than n bytes.
func (f *fixture) large(topic string, n int) {
	f.t.Helper()
	if got, err := f.endpoint.Broadcast(context.Background(), topic, "e", map[string]string{"s": strings.Repeat("x", n)}); got == 0 || err != nil {
		f.t.Fatal(got, err)
	}
}

// slowly reads n bytes, and what is left of the frame, at a number of bytes a
// second.
func (c *rawClient) slowly(n, rate int) {
	c.t.Helper()
	b := make([]byte, rate/10)
	for done := 0; done < n; done += len(b) {
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.t.Fatalf("after %d bytes: %v", done, err)
		}
		pass(100 * time.Millisecond)
	}
	for {
		last, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatal(err)
		}
		if last == ']' {
			return
		}
	}
}

// TestALargeFrameTakesItsTime pins that Timeouts.Write is about progress: a client
// that reads 200 KB a second gets a frame of 10 MB.
func TestALargeFrameTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Bytes: 11 << 20}))
		c := f.raw()
		if err := c.nc.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		f.large("room:a", 10_000_000)
		c.slowly(10_000_000, 200_000)
		f.broadcast("room:a", 0, 1)
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		// And is given up as soon as it takes nothing more.
		begin := time.Now()
		f.large("room:a", 1_000_000)
		for f.endpoint.Snapshot().Connections > 0 {
			pass(100 * time.Millisecond)
		}
		if d := time.Since(begin); d > 5100*time.Millisecond {
			t.Errorf("given up after %v, want 5 s", d)
		}
	})
}

// TestIdleWhileTheServerIsBusy pins that a client is not silent while the server
// does not read what it sends: during a join, while its inbox is full and while it
// is slowed down.
func TestIdleWhileTheServerIsBusy(t *testing.T) {
	for _, ping := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			slow := &app{
				join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
					pass(1500 * time.Millisecond)
					return nil, nil
				},
				in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
					pass(1500 * time.Millisecond)
					return websocket.Reply{}, nil
				},
			}
			f := start(t, setup{
				pipes: true, channels: map[string]*app{"room:*": slow},
				mount: websocket.MountConfig{
					Limits:   websocket.Limits{Inbox: 1, FrameRate: 10},
					Timeouts: websocket.Timeouts{Idle: time.Second, Ping: ping},
				},
			})
			c := f.raw()
			c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
			go func() {
				for n := range 40 {
					pass(250 * time.Millisecond)
					if n > 8 && n < 12 {
						c.frame(final|text, []byte(`["1",null,"room:a","slow",{}]`))
					}
					c.frame(final|text, fmt.Appendf(nil, `[null,"h%d","phoenix","heartbeat",{}]`, n))
				}
			}()
			beats := 0
			for beats < 40 {
				first, message, err := c.next()
				if err != nil || first == final|0x8 {
					t.Fatalf("ended after %d heartbeats: %x %v", beats, first, err)
				}
				if first == final|0x9 {
					continue // a ping: the heartbeats show enough
				}
				if ref, _ := refOf(t, message); strings.HasPrefix(ref, "h") {
					beats++
				}
			}
			if code := c.closeCode(); code != 1002 { // silent now
				t.Errorf("closed with %d, want 1002", code)
			}
		})
	}
}
