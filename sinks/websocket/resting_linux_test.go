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
	// Of connect and join.
	dialer net.Dialer
}

// inBothModes runs a test with connections in the runtime's poller, and in event loops.
func inBothModes(t *testing.T, test func(t *testing.T, endpoint func(config MountConfig) *restless)) {
	for name, loops := range map[string]bool{"default": false, "event loop": true} {
		t.Run(name, func(t *testing.T) {
			test(t, func(config MountConfig) *restless { return newRestless(t, config, loops) })
		})
	}
}

func newRestless(t *testing.T, config MountConfig, loops bool) *restless {
	t.Helper()
	e, err := NewEndpoint(EndpointConfig{EventLoop: loops})
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
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		if e.resting.epoll != nil || e.resting.n != 0 {
			t.Errorf("%d connections rest after Shutdown", e.resting.n)
		}
		for _, l := range e.loops {
			if l.epoll != nil || l.n != 0 {
				t.Errorf("%d connections in a loop after Shutdown", l.n)
			}
		}
	})
	return &restless{Endpoint: e, t: t, addr: server.Listener.Addr().String()}
}

// until waits for what comes soon.
func (e *restless) until(what string, happened func() bool) {
	e.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !happened(); <-tick.C {
		if time.Now().After(end) {
			e.t.Fatalf("%s: it did not happen: %+v, %d at rest", what, e.Snapshot(), e.atRest())
		}
	}
}

func (e *restless) atRest() int {
	e.resting.mu.Lock()
	n := e.resting.n
	e.resting.mu.Unlock()
	for _, l := range e.loops {
		l.mu.Lock()
		for _, c := range l.slots {
			if c != nil {
				if _, rests := c.restsUntil(time.Now()); rests {
					n++
				}
			}
		}
		l.mu.Unlock()
	}
	return n
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
	nc, err := e.dialer.Dial("tcp", e.addr)
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
	_ = g.SetReadDeadline(time.Now().Add(time.Minute))
	if got, err := g.hear(); err != nil || got != want {
		e.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// TestRest: connections at rest have no goroutine, and everything else.
func TestRest(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		e := endpoint(MountConfig{})
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
	})
}

// TestRestSoonAfterJoin: a client that joins late comes to rest soon all the same.
func TestRestSoonAfterJoin(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		e := endpoint(MountConfig{})
		g := e.connect()
		e.until("rest before the join", func() bool { return e.atRest() == 1 })
		g.say(`["1","1","room:a","phx_join",{}]`)
		e.hears(g, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		e.until("rest after the join", func() bool { return e.atRest() == 1 })
	})
}

// tries calls test with an interval, and again with twice as long a one if it reports that it
// has itself been too late for the interval, as on a busy machine. The last try must not be.
func tries(t *testing.T, interval time.Duration, test func(interval time.Duration) (late string)) {
	t.Helper()
	const most = 5
	for try := 1; ; try++ {
		late := test(interval)
		if late == "" {
			return
		}
		t.Logf("try %d, with %v: %s", try, interval, late)
		if try == most {
			t.Fatalf("too late %d times", try)
		}
		interval *= 2
	}
}

const tooSilent = "\x03\xeaprotocol error or idle timeout" // 1002

// TestSilenceWhileAtRest pins that the idle timeout holds at rest.
func TestSilenceWhileAtRest(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		tries(t, 700*time.Millisecond, func(silence time.Duration) string {
			e := endpoint(MountConfig{Timeouts: Timeouts{Idle: silence}})
			start := time.Now()
			g := e.connect()
			g.say(`["1","1","room:a","phx_join",{}]`)
			got, err := g.hear()
			for rested := false; err == nil && !rested && time.Since(start) < silence; rested = e.atRest() == 1 {
				time.Sleep(time.Millisecond)
			}
			if time.Since(start) >= silence {
				return "it may have been closed before it has rested"
			}
			if want := `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`; err != nil || got != want {
				t.Fatalf("got %q, %v, want %q", got, err, want)
			}
			other := e.connect() // is due later
			other.say(`["1","1","room:a","phx_join",{}]`)
			e.hears(g, tooSilent)
			d := time.Since(start)
			if d < silence {
				t.Fatalf("closed after %v, want %v and a little", d, silence)
			}
			if got, err := other.hear(); err == nil && got != tooSilent {
				e.hears(other, tooSilent)
			}
			if d > silence+20*lookInterval {
				return fmt.Sprintf("closed after %v, want %v and a little", d, silence)
			}
			return ""
		})
	})
}

// TestPingsAtRest pins that resting connections are pinged without a goroutine of
// their own, rest again after the pong, and end when it does not come.
func TestPingsAtRest(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		tries(t, 300*time.Millisecond, func(every time.Duration) string {
			e := endpoint(MountConfig{})
			e.mounts[0].pings.every = every // shorter than the option allows
			start := time.Now()
			lives, gone := e.connect(), e.connect()
			for _, g := range []*guest{lives, gone} {
				_ = g.SetReadDeadline(start.Add(time.Minute))
				g.say(`["1","1","room:a","phx_join",{}]`)
				if got, err := g.hear(); time.Since(start) >= every {
					return "it may have been pinged before it has joined"
				} else if want := `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`; err != nil || got != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			for e.atRest() < 2 && time.Since(start) < every {
				time.Sleep(time.Millisecond)
			}
			if time.Since(start) >= every {
				return "it may have been pinged before it has rested"
			}
			// One responds to its pings until the test closes it. The error is that of its end.
			pinged, end := make(chan struct{}, 100), make(chan string, 1)
			go func() {
				for {
					got, err := lives.hear()
					if err != nil || got != "" {
						end <- fmt.Sprintf("%q, %v", got, err)
						return
					}
					_, _ = lives.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
					pinged <- struct{}{}
				}
			}()
			pings := 0
			got, err := gone.hear()
			for err == nil && got == "" { // no reply
				pings++
				got, err = gone.hear()
			}
			if err != nil || got != tooSilent || pings == 0 {
				t.Errorf("got %q, %v after %d pings, want a close", got, err, pings)
			}
			if d := time.Since(start); d < 2*every {
				t.Errorf("closed after %v, want two intervals at least", d)
			}
			_ = gone.Close()
			for range 3 {
				select {
				case <-pinged:
				case how := <-end:
					return "the one that responds has ended: " + how
				}
			}
			for rested := false; !rested; rested = e.atRest() == 1 && e.Snapshot().Connections == 1 {
				select {
				case how := <-end:
					return "the one that responds has ended: " + how
				case <-time.After(time.Millisecond):
				}
			}
			_ = lives.Close()
			<-end
			e.until("the end", func() bool { return e.Snapshot().Connections == 0 })
			p := &e.mounts[0].pings
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.first != nil || p.last != nil || p.timer.Stop() {
				t.Error("the timer runs without a connection")
			}
			return ""
		})
	})
}

// TestRestAndUnrest does everything at once, for the race detector.
func TestRestAndUnrest(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		e := endpoint(MountConfig{Timeouts: Timeouts{Close: 50 * time.Millisecond}})
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
	})
}

func welcome(context.Context, *Channel, Payload) (any, error) { return nil, nil }
