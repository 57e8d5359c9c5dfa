package websocket

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"
)

// restless is an endpoint whose connections rest soon.
type restless struct {
	*Endpoint
	t    *testing.T
	addr string
}

func newRestless(t *testing.T, config MountConfig) *restless {
	t.Helper()
	e, err := NewEndpoint(EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSocket(SocketConfig[struct{}]{ID: func(struct{}) string { return "all" }})
	s.Channel("room:*", func(struct{}, string) Handler { return HandlerFunc(welcome) })
	return serveRestless(t, e, s, config)
}

func serveRestless(t *testing.T, e *Endpoint, s Mountable, config MountConfig) *restless {
	t.Helper()
	if err := e.Mount("/socket", s, config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		if e.resting.epoll != nil || e.resting.n != 0 {
			t.Errorf("%d connections rest after Shutdown", e.resting.n)
		}
	})
	return &restless{e, t, server.Listener.Addr().String()}
}

// until waits for what comes soon.
func (e *restless) until(what string, happened func() bool) {
	e.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !happened(); <-tick.C {
		if time.Now().After(end) {
			e.t.Fatalf("%s: it did not happen: %+v, %d at rest", what, e.Snapshot(), e.atRest())
		}
	}
}

func (e *restless) atRest() int {
	e.resting.mu.Lock()
	defer e.resting.mu.Unlock()
	return e.resting.n
}

// guest is a client.
type guest struct {
	net.Conn
	r *bufio.Reader
}

func (e *restless) join() *guest {
	e.t.Helper()
	g := e.connect()
	g.say(`["1","1","room:a","phx_join",{}]`)
	e.hears(g, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	return g
}

// connect returns a client that has not joined.
func (e *restless) connect() *guest {
	e.t.Helper()
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = nc.Close() })
	g := &guest{nc, bufio.NewReader(nc)}
	fmt.Fprintf(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(g.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		e.t.Fatal(resp, err)
	}
	return g
}

// say sends a short text; the mask is zero.
func (g *guest) say(text string) {
	_, _ = g.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)) // the server may have hung up
}

const (
	heartbeat = `[null,"h","phoenix","heartbeat",{}]`
	alive     = `[null,"h","phoenix","phx_reply",{"response":{},"status":"ok"}]`
)

func (g *guest) hear() (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(g.r, head); err != nil {
		return "", err
	}
	p := make([]byte, head[1])
	_, err := io.ReadFull(g.r, p)
	return string(p), err
}

func (e *restless) hears(g *guest, want string) {
	e.t.Helper()
	_ = g.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := g.hear(); err != nil || got != want {
		e.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// TestRest: connections at rest have no goroutine, and everything else.
func TestRest(t *testing.T) {
	e := newRestless(t, MountConfig{})
	const n = 50
	before := runtime.NumGoroutine()
	var guests []*guest
	for range n {
		guests = append(guests, e.join())
	}
	for range 3 {
		e.until("rest", func() bool { return e.atRest() == n && runtime.NumGoroutine() < before+10 })
		if _, err := e.Broadcast(t.Context(), "room:a", "e", nil); err != nil {
			t.Fatal(err)
		}
		for _, g := range guests {
			e.hears(g, `[null,null,"room:a","e",{}]`)
		}
		if rest := e.atRest(); rest != n {
			t.Errorf("after a broadcast %d rest, want all", rest)
		}
		for _, g := range guests {
			g.say(heartbeat)
			e.hears(g, alive)
		}
	}
	e.until("rest", func() bool { return e.atRest() == n })
	for _, g := range guests[:n/2] { // clients that leave
		_ = g.Close()
	}
	e.until("leaving", func() bool { return e.Snapshot().Connections == n-n/2 })
	e.until("rest", func() bool { return e.atRest() == n-n/2 })
	if got, err := e.Disconnect(t.Context(), "all"); got != n-n/2 || err != nil {
		t.Fatal(got, err)
	}
	for _, g := range guests[n/2:] {
		e.hears(g, "\x03\xe9disconnected by the server") // 1001
		_ = g.Close()
	}
	e.until("the end", func() bool { return e.Snapshot().Connections == 0 && e.atRest() == 0 })
	e.join() // and again, until Shutdown
	e.until("rest", func() bool { return e.atRest() == 1 })
}

// TestRestSoonAfterJoin: a client that joins late comes to rest soon all the same.
func TestRestSoonAfterJoin(t *testing.T) {
	e := newRestless(t, MountConfig{})
	g := e.connect()
	e.until("rest before the join", func() bool { return e.atRest() == 1 })
	g.say(`["1","1","room:a","phx_join",{}]`)
	e.hears(g, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	e.until("rest after the join", func() bool { return e.atRest() == 1 })
}

// TestSilenceWhileAtRest pins that the idle timeout holds at rest.
func TestSilenceWhileAtRest(t *testing.T) {
	const silence = 700 * time.Millisecond
	e := newRestless(t, MountConfig{Timeouts: Timeouts{Idle: silence}})
	start := time.Now()
	g := e.join()
	e.until("rest", func() bool { return e.atRest() == 1 })
	other := e.join()                                    // is due later
	e.hears(g, "\x03\xeaprotocol error or idle timeout") // 1002
	if d := time.Since(start); d < silence || d > silence+20*lookInterval {
		t.Errorf("closed after %v, want %v and a little", d, silence)
	}
	e.hears(other, "\x03\xeaprotocol error or idle timeout")
}

// TestPingsAtRest pins that resting connections are pinged without a goroutine of
// their own, rest again after the pong, and end when it does not come.
func TestPingsAtRest(t *testing.T) {
	e := newRestless(t, MountConfig{})
	e.mounts[0].pings.every = 300 * time.Millisecond // shorter than the option allows
	lives, gone := e.join(), e.join()
	start := time.Now()
	for round := range 3 {
		e.until("rest", func() bool { return e.atRest() >= 1 })
		e.hears(lives, "")
		if round == 0 {
			e.hears(gone, "") // and no reply
		}
		_, _ = lives.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
	}
	got, err := gone.hear()
	for err == nil && got == "" { // further pings
		got, err = gone.hear()
	}
	if err != nil || got != "\x03\xeaprotocol error or idle timeout" { // 1002
		t.Errorf("got %q, %v, want a close", got, err)
	}
	if d := time.Since(start); d < 600*time.Millisecond {
		t.Errorf("closed after %v, want two intervals at least", d)
	}
	_ = gone.Close()
	e.until("the end of one", func() bool { return e.Snapshot().Connections == 1 })
	_ = lives.Close()
	e.until("the end", func() bool { return e.Snapshot().Connections == 0 })
	p := &e.mounts[0].pings
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != nil || p.last != nil || p.timer.Stop() {
		t.Error("the timer runs without a connection")
	}
}

// TestRestAndUnrest does everything at once, for the race detector.
func TestRestAndUnrest(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	e := newRestless(t, MountConfig{Timeouts: Timeouts{Close: 50 * time.Millisecond}})
	var group sync.WaitGroup
	for i := range 8 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		g := e.join()
		group.Go(func() {
			for range 100 {
				switch rng.IntN(5) {
				case 0:
					_ = g.Close()
					g = e.join()
				case 1:
					runtime.Gosched()
				default:
					g.say(heartbeat)
					e.hears(g, alive)
				}
			}
			_ = g.Close()
		})
	}
	group.Wait()
	e.until("the end", func() bool { return e.Snapshot().Connections == 0 })
}

func welcome(context.Context, *Channel, Payload) (any, error) { return nil, nil }
