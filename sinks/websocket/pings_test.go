package websocket_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func pinging(every time.Duration) setup {
	return setup{
		pipes: true, channels: map[string]*app{"room:*": {}},
		mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Ping: every}},
	}
}

// TestPings pins that each client gets a ping in each interval, also when others have
// come and gone, and that a client which only replies to them stays: no idle timeout.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, pinging(10*time.Second))
		var clients []*rawClient
		for range 5 {
			c := f.raw()
			if err := c.nc.SetDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
			pass(time.Second)
		}
		for round := 1; round <= 30; round++ { // five minutes
			for _, c := range clients {
				first, data, err := c.next()
				if err != nil || first != final|0x9 || len(data) != 0 {
					t.Fatalf("%x %q %v", first, data, err)
				}
				c.frame(final|0xa, nil)
			}
			if round == 10 {
				_ = clients[2].nc.Close()
				clients = append(clients[:2], clients[3:]...)
			}
		}
		synctest.Wait()
		if s := f.endpoint.Snapshot(); s.Connections != 4 {
			t.Errorf("%d connections, want 4", s.Connections)
		}
	})
}

// TestPingInterval pins the intervals and when a client is given up: an interval
// after a ping, if nothing has come since.
func TestPingInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, pinging(10*time.Second))
		c := f.raw()
		begin := time.Now()
		for n := range 3 {
			first, _, err := c.next()
			if err != nil || first != final|0x9 {
				t.Fatalf("%x %v", first, err)
			}
			if d, want := time.Since(begin), time.Duration(n+1)*10*time.Second; d != want {
				t.Errorf("ping %d after %v, want %v", n, d, want)
			}
			if n == 2 {
				break
			}
			pass(9 * time.Second) // any byte will do, even late
			c.frame(final|text, []byte(`[null,"1","phoenix","heartbeat",{}]`))
			if _, _, err := c.next(); err != nil {
				t.Fatal(err)
			}
		}
		c.frame(final|0xa, nil)
		if code := c.closeCode(); code != 1002 {
			t.Errorf("closed with %d, want 1002", code)
		}
		// The fourth ping has 10 s.
		if d := time.Since(begin); d != 50*time.Second {
			t.Errorf("closed after %v, want 50 s", d)
		}
	})
}

// TestPingsOfASlowReader pins that a client which is busy reading a large frame is
// not given up: the ping waits for the frame, and the client's time for the ping.
func TestPingsOfASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pinging(5 * time.Second)
		s.mount.Queue.Bytes = 4 << 20
		f := start(t, s)
		c := f.raw()
		c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		f.large("room:a", 4_000_000)
		c.slowly(4_000_000, 100_000) // 40 s
		for range 3 {
			first, _, err := c.next()
			if err != nil || first != final|0x9 {
				t.Fatalf("%x %v, want a ping", first, err)
			}
			pass(4 * time.Second)
			c.frame(final|0xa, nil)
		}
	})
}

// TestPingOption pins what is refused.
func TestPingOption(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for n, d := range []time.Duration{-1, time.Millisecond, time.Second, websocket.NoTimeout} {
		err := e.Mount(fmt.Sprintf("/%d", n), websocket.NewSocket(websocket.SocketConfig[user]{}), websocket.MountConfig{Timeouts: websocket.Timeouts{Ping: d}})
		var refused *websocket.OptionError
		if (n < 2) != (errors.As(err, &refused) && refused.Option == "Timeouts.Ping") {
			t.Errorf("%v: %v", d, err)
		}
	}
}
