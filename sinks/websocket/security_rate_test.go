package websocket_test

import (
	"bytes"
	"context"
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
		}, 200},
		{"joins of the same", func(c *rawClient, n int) {
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","room:b","phx_join",{}]`, n, n))
		}, 200},
		{"joins that are refused", func(c *rawClient, n int) {
			c.frame(final|text, fmt.Appendf(nil, `["%d","%d","nothing","phx_join",{}]`, n, n))
		}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{MaxByteRate: bytesRate, Queue: roomy}})
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
					// Who goes on sending megabytes may not get to read the reason.
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
			f := start(t, setup{pipes: true, mount: websocket.MountConfig{ThrottleTimeout: 5 * time.Second, CloseTimeout: time.Millisecond, LongPoll: &websocket.LongPollConfig{Window: time.Minute}}})
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

func securityTopics(t *testing.T) {
	n := 50_000 / slowdown
	if long() {
		n = 1_000_000
	}
	const perSecond = 1 << 30 // the rates are another row
	mount := websocket.MountConfig{MaxRate: perSecond, MaxByteRate: perSecond, MaxJoinRate: perSecond, Queue: websocket.QueueConfig{Events: 1 << 20, Bytes: 1 << 30}}
	run := func(name string, send func(i int) string, each int, check func(t *testing.T, f *fixture, ok, refused int)) {
		t.Run(name, func(t *testing.T) {
			f := start(t, setup{channels: map[string]*app{"room:*": {}}, mount: mount})
			warm := f.raw() // what is made once
			warm.frame(final|text, []byte(`["1","1","room:x","phx_join",{}]`))
			if _, _, err := warm.next(); err != nil {
				t.Fatal(err)
			}
			_, before := resident()
			c := f.raw()
			if err := c.nc.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			group.Go(func() {
				var b []byte
				for i := range n {
					if b = append(b, maskedFrame(final|text, []byte(send(i)))...); len(b) > 32<<10 || i == n-1 {
						c.write(b)
						b = b[:0]
					}
				}
			})
			ok, refused := 0, 0
			for range each*n - (each - 1) {
				_, p, err := c.next()
				switch {
				case err != nil:
					t.Fatal(err)
				case bytes.Contains(p, []byte(`"too many channels joined"`)):
					refused++
				case bytes.Contains(p, []byte(`"status":"ok"`)):
					ok++
				case !bytes.Contains(p, []byte("phx_close")):
					t.Fatalf("%s", p)
				}
			}
			group.Wait()
			check(t, f, ok, refused)
			_ = c.nc.Close()
			eventually(t, func() bool { s := f.endpoint.Snapshot(); return s.Connections == 1 && s.Channels == 1 })
			if topics := f.endpoint.PubSub().Topics(); topics != 1 {
				t.Errorf("%d topics are left", topics)
			}
			_, after := resident()
			t.Logf("%d joins: %d bytes of heap more than before", n, after-before)
			if after-before > 1<<20 {
				t.Errorf("%d bytes of heap stay", after-before)
			}
		})
	}
	run("a million topics", func(i int) string { return fmt.Sprintf(`["%d","%d","room:%d","phx_join",{}]`, i, i, i) }, 1,
		func(t *testing.T, f *fixture, ok, refused int) {
			if ok != 100 || refused != n-100 {
				t.Errorf("%d joined, %d refused", ok, refused)
			}
			eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 101 })
		})
	run("the same topic a million times", func(i int) string { return fmt.Sprintf(`["%d","%d","room:a","phx_join",{}]`, i, i) }, 2,
		func(t *testing.T, f *fixture, ok, refused int) {
			if ok != n || refused != 0 {
				t.Errorf("%d joined, %d refused", ok, refused)
			}
			eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 2 })
		})
	run("join and leave", func(i int) string {
		return fmt.Sprintf(`["%d","%d","room:%d","phx_%s",{}]`, i/2, i/2, i/2, [2]string{"join", "leave"}[i%2])
	}, 1, func(t *testing.T, f *fixture, ok, _ int) {
		if ok < n/2 {
			t.Errorf("%d ok", ok)
		}
	})

	// Channels of all connections together.
	f := start(t, setup{endpoint: websocket.EndpointConfig{MaxChannels: 3}, channels: map[string]*app{"room:*": {}}})
	p, q := f.connect("1"), f.connect("2")
	p.join(1, "room:a")
	p.join(2, "room:b")
	q.join(1, "room:a")
	q.send(`["2","2","room:b","phx_join",{}]`)
	q.expect(`["2","2","room:b","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]`)
	p.send(`["1","9","room:a","phx_leave",{}]`)
	p.expect(`["1","9","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	p.expect(`["1","1","room:a","phx_close",{}]`)
	eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 2 })
	q.join(3, "room:b")
}

func securitySlowReaders(t *testing.T) {
	event := map[string]string{"text": strings.Repeat("x", 1000)}
	for _, row := range []struct {
		name  string
		read  func(c *rawClient, stop <-chan struct{})
		flood bool // whether the server has something to say
		after time.Duration
	}{
		{"zero window", func(*rawClient, <-chan struct{}) {}, true, 5 * time.Second},
		{"a byte a second", func(c *rawClient, stop <-chan struct{}) {
			b := make([]byte, 1)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
					if _, err := c.nc.Read(b); err != nil {
						return
					}
				}
			}
		}, true, 5 * time.Second},
		{"stopped after the handshake", func(*rawClient, <-chan struct{}) {}, false, 60 * time.Second},
		{"half open", func(*rawClient, <-chan struct{}) {}, false, 60 * time.Second}, // nothing comes any more, as packets are lost
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}})
				c := f.raw()
				if row.flood {
					c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
					if _, _, err := c.next(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				begin := time.Now()
				stop := make(chan struct{})
				var group sync.WaitGroup
				group.Go(func() { row.read(c, stop) })
				most := int64(0)
				for f.endpoint.Snapshot().Connections > 0 && time.Since(begin) < 2*time.Minute {
					if row.flood {
						if _, err := f.endpoint.Broadcast(context.Background(), "room:a", "e", event); err != nil {
							t.Fatal(err)
						}
					}
					most = max(most, f.endpoint.Snapshot().QueuedBytes)
					pass(100 * time.Millisecond)
				}
				// The close is bounded too: what it says is not read either.
				if d := time.Since(begin); d < row.after-100*time.Millisecond || d > row.after+8*time.Second {
					t.Errorf("closed after %v, want %v", d, row.after)
				}
				if most > 2<<20 {
					t.Errorf("%d bytes were queued", most)
				}
				close(stop)
				group.Wait()
			})
		})
	}

	// Over real sockets: many that do not read pin no more than the global bound.
	const clients, budget = 50, 4 << 20
	f := start(t, setup{
		endpoint: websocket.EndpointConfig{MaxQueuedBytes: budget},
		mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Events: 100_000, WriteTimeout: time.Minute}, CloseTimeout: time.Millisecond},
		channels: map[string]*app{"room:*": {}},
	})
	list := make([]*rawClient, clients)
	for i := range list {
		list[i] = f.raw()
		list[i].frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
		if _, _, err := list[i].next(); err != nil {
			t.Fatal(err)
		}
	}
	_, before := resident()
	most := int64(0)
	for n := range 30_000 { // 30 MB for each
		if _, err := f.endpoint.Broadcast(context.Background(), "room:a", "e", event); err != nil {
			t.Fatal(err)
		}
		if n%100 == 0 {
			most = max(most, f.endpoint.Snapshot().QueuedBytes)
		}
		if f.endpoint.Snapshot().Connections == 0 {
			break
		}
	}
	_, after := resident()
	t.Logf("heap grew by %d bytes, %d were queued at the most, %d connections are left", after-before, most, f.endpoint.Snapshot().Connections)
	if most > 3*budget { // what is over is closed by another goroutine
		t.Errorf("%d bytes queued, want %d at most", most, 3*budget)
	}
	if after-before > budget { // a broadcast is there once, however often it waits
		t.Errorf("the heap grew by %d bytes", after-before)
	}
	for _, c := range list {
		_ = c.nc.Close()
	}
}
