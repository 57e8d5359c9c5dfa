package websocket_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

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
		endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{QueuedBytes: budget}},
		mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Events: 100_000}, Timeouts: websocket.Timeouts{Close: time.Millisecond, Write: time.Minute}},
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
		if n%20 == 0 { // 1 MB for all
			queued := f.endpoint.Snapshot().QueuedBytes
			most = max(most, queued)
			// What is over is closed by another goroutine, which a busy machine may not run for
			// a while.
			for end := time.Now().Add(10 * time.Second); queued > 2*budget && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
				queued = f.endpoint.Snapshot().QueuedBytes
			}
		}
		if f.endpoint.Snapshot().Connections == 0 {
			break
		}
	}
	_, after := resident()
	t.Logf("heap grew by %d bytes, %d were queued at the most, %d connections are left", after-before, most, f.endpoint.Snapshot().Connections)
	if most > 3*budget {
		t.Errorf("%d bytes queued, want %d at most", most, 3*budget)
	}
	if after-before > budget { // a broadcast is there once, however often it waits
		t.Errorf("the heap grew by %d bytes", after-before)
	}
	for _, c := range list {
		_ = c.nc.Close()
	}
}
