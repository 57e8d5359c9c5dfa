package websocket_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// roomy holds all that these tests queue.
var roomy = websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4096, Bytes: 64 << 20}}

// ends are the ways in which the server closes a connection in good order.
func ends(t *testing.T) map[string]func(f *fixture) {
	return map[string]func(f *fixture){
		"disconnect": func(f *fixture) {
			if n, err := f.endpoint.Disconnect(t.Context(), "users:1"); n != 1 || err != nil {
				t.Errorf("disconnected %d, %v", n, err)
			}
		},
		"close": func(f *fixture) {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
				defer cancel()
				if err := f.endpoint.Close(ctx); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
		},
	}
}

func usersID(u user) string { return "users:" + u.ID }

// TestAClientThatReadsSlowlyGetsAllBeforeTheClose reads for longer than every
// timeout that counts from the client's last bytes.
func TestAClientThatReadsSlowlyGetsAllBeforeTheClose(t *testing.T) {
	for name, end := range ends(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, setup{pipes: true, mount: roomy, socket: websocket.SocketConfig[user]{ID: usersID}, channels: map[string]*app{"room:*": {}}})
				p := f.connect("1")
				p.join(1, "room:a")
				pad := strings.Repeat("x", 32<<10)
				const n = 60
				for i := range n {
					if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]any{"i": i, "pad": pad}); err != nil {
						t.Fatal(err)
					}
				}
				end(f)
				for i := range n {
					pass(2 * time.Second)
					if got := p.read(); !strings.Contains(got, fmt.Sprintf(`"i":%d,`, i)) {
						t.Fatalf("message %d is %.60s", i, got)
					}
				}
				if code := p.closed(); code != 1001 {
					t.Errorf("closed with %d, want 1001", code)
				}
			})
		})
	}
}

// TestAClientThatTakesNothingIsCutOff bounds the flush by the client's progress.
func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, mount: roomy, socket: websocket.SocketConfig[user]{ID: usersID}, channels: map[string]*app{"room:*": {}}})
		p := f.connect("1")
		p.join(1, "room:a")
		f.broadcast("room:a", 0, 100)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.endpoint.Close(ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 8*time.Second {
			t.Errorf("closed after %v, want the write timeout of 5 s", d)
		}
	})
}

// TestASlowReaderOverTCPGetsAllBeforeTheClose sends while it reads, so that the
// server must not close a socket with unread input.
func TestASlowReaderOverTCPGetsAllBeforeTheClose(t *testing.T) {
	mount := roomy
	mount.Timeouts.Write = time.Minute // it reads nothing until all is queued, for which a busy machine takes its time
	f := start(t, setup{mount: mount, socket: websocket.SocketConfig[user]{
		ID: func(user) string { return "users:1" },
	}, channels: map[string]*app{"room:*": {}}})
	c := f.raw()
	if err := c.nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
	if _, _, err := c.next(); err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 32<<10)
	const n = 160
	for i := range n {
		if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]any{"i": i, "pad": pad}); err != nil {
			t.Fatal(err)
		}
	}
	ends(t)["disconnect"](f)
	// About 4 MB a second: longer than the second after which a connection
	// without input comes to rest.
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		c.frame(final|text, []byte(`[null,"h","phoenix","heartbeat",{}]`))
		if _, payload, err := c.next(); err != nil || !strings.Contains(string(payload), fmt.Sprintf(`"i":%d,`, i)) {
			t.Fatalf("message %d is %.60s, %v", i, payload, err)
		}
	}
	if code := c.closeCode(); code != 1001 {
		t.Errorf("closed with %d, want 1001", code)
	}
}
