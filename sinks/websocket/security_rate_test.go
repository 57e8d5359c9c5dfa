package websocket_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func securityRates(t *testing.T) {
	// In each of these a client sends as fast as it is read from, which would be
	// far more than 100,000 messages a second, and reads all that it gets.
	const bytesRate = 512 << 10
	large := heartbeat(8 << 10)
	roomy := websocket.QueueConfig{Events: 10_000} // that what it reads slowly is not the reason
	for _, row := range []struct {
		name string
		send func(c *rawClient, n int)
		most int // a second
	}{
		{"messages", func(c *rawClient, n int) { c.frame(final|text, []byte(`["1",null,"room:a","e",{}]`)) }, 1000},
		{"messages to nowhere", func(c *rawClient, n int) { c.frame(final|text, []byte(`[null,"1","nothing","e",{}]`)) }, 1000},
		{"heartbeats", func(c *rawClient, n int) { c.frame(final|text, heartbeat(0)) }, 1000},
		{"pings", func(c *rawClient, n int) { c.frame(ping, []byte("x")) }, 1000},
		{"pongs without ping", func(c *rawClient, n int) { c.frame(pong, nil) }, 1000},
		{"bytes", func(c *rawClient, n int) { c.frame(final|text, large) }, bytesRate/(8<<10) + 1},
		{"joins and leaves", func(c *rawClient, n int) {
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","room:b","phx_join",{}]`, n, n))
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","room:b","phx_leave",{}]`, n, n))
		}, 340}, // 200 are handled, and those beyond take from the budget
		{"joins of the same", func(c *rawClient, n int) {
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","room:b","phx_join",{}]`, n, n))
		}, 340}, // 200 are handled, and those beyond take from the budget
		{"joins that are refused", func(c *rawClient, n int) {
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","nothing","phx_join",{}]`, n, n))
		}, 340}, // 200 are handled, and those beyond take from the budget
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Limits: websocket.Limits{ByteRate: bytesRate}, Queue: roomy}})
				other := f.connect("other")
				other.join(1, "room:a")
				c := f.raw()
				var sent atomic.Int64
				var group sync.WaitGroup
				over := make(chan struct{})
				group.Go(func() {
					c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
					for n := 2; ; n++ {
						select {
						case <-over:
							return
						default:
							row.send(c, n)
							sent.Add(1)
						}
					}
				})
				group.Go(func() {
					begin := time.Now()
					// A client that goes on sending megabytes may not get to read the reason.
					if code := c.closeCode(); code != 4429 && (row.name != "bytes" || code != -1) {
						t.Errorf("closed with %d, want 4429", code)
					}
					if d := time.Since(begin); d < 29*time.Second || d > 35*time.Second {
						t.Errorf("closed after %v, want 30 s", d)
					}
					close(over)
				})
				const seconds = 10
				for n := range seconds {
					pass(time.Second)
					begin := time.Now() // others are not held up
					other.send(`[null,"%d","phoenix","heartbeat",{}]`, n)
					other.read()
					if d := time.Since(begin); d > 0 {
						t.Errorf("another client waited for %v", d)
					}
				}
				if got, most := int(sent.Load()), row.most*(seconds+1)+2; got > most || got < row.most*seconds/3 {
					t.Errorf("%d were taken in %d s, want %d at most", got, seconds, most)
				}
				group.Wait()
			})
		})
	}
	t.Run("pings in a message", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, mount: websocket.MountConfig{Queue: roomy}})
			c := f.raw()
			c.frame(text, []byte("["))
			pongs := 0
			var group sync.WaitGroup
			group.Go(func() {
				for {
					if _, err := c.nc.Write(maskedFrame(ping, nil)); err != nil {
						return
					}
				}
			})
			for {
				first, p, err := c.next()
				if err != nil || first == closeFrame {
					if len(p) < 2 || binary.BigEndian.Uint16(p) != 1008 {
						t.Errorf("%x %v, want 1008", p, err)
					}
					break
				}
				pongs++
			}
			_ = c.nc.Close()
			if pongs > 11_000 {
				t.Errorf("%d pings in 10 s", pongs)
			}
			group.Wait()
		})
	})
	t.Run("bursts are welcome", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 5000}}})
			p := f.connect("1")
			for minute := range 3 {
				for n := range 1500 {
					p.send(`[null,"%d","phoenix","heartbeat",{}]`, n)
				}
				for range 1500 {
					p.read()
				}
				for n := range 100 { // all channels again, as after a reconnect
					topic := fmt.Sprintf("room:%d", n)
					p.send(`["%d","%d",%q,"phx_join",{}]`, minute, minute, topic)
					p.read()
					if minute > 0 {
						p.read() // phx_close of the one before
					}
				}
				pass(50 * time.Second)
			}
		})
	})
	t.Run("long poll", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Throttle: 5 * time.Second, Close: time.Millisecond}, LongPoll: &websocket.LongPollConfig{Window: time.Minute}}})
			poll := &poller{f: f, query: "vsn=2.0.0"}
			a, _ := poll.request("GET", "", "")
			poll.token = a.Token
			lines := strings.Repeat(`[null,null,"phoenix","heartbeat",{}]`+"\n", 100)
			begin := time.Now()
			posts := 0
			for ; posts < 1000; posts++ {
				var body bytes.Buffer
				body.WriteString(lines)
				if a, _ := poll.request("POST", "application/x-ndjson", body.String()); a.Status == 410 {
					break
				}
				if posts%2 == 1 {
					poll.request("GET", "", "") // the queue is read
				}
			}
			if d := time.Since(begin); d < 5*time.Second || d > 8*time.Second || posts > 100 {
				t.Errorf("ended after %v and %d posts", d, posts)
			}
		})
	})
}
