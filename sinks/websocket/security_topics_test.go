package websocket_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func securityTopics(t *testing.T) {
	n := 50_000 / slowdown
	if long() {
		n = 1_000_000
	}
	const perSecond = 1 << 30 // the rates are another row
	mount := websocket.MountConfig{Limits: websocket.Limits{FrameRate: perSecond, ByteRate: perSecond, JoinRate: perSecond}, Queue: websocket.QueueConfig{Events: 1 << 20, Bytes: 1 << 30}}
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
	f := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{Channels: 3}}, channels: map[string]*app{"room:*": {}}})
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
