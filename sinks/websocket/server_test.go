package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// serveHandler serves a handler with NewServer, on pipes.
func serveHandler(t *testing.T, h http.HandlerFunc, cfg websocket.ServerConfig) *fixture {
	t.Helper()
	cfg.Plaintext = true
	s, err := websocket.NewServer(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := newPipes()
	f := &fixture{t: t, server: s, dialer: p.dial, addr: "pipe.test"}
	var group sync.WaitGroup
	group.Go(func() { _ = s.Serve(p) })
	t.Cleanup(func() {
		_ = s.Close()
		group.Wait()
		pass(time.Minute) // net/http lingers before it closes, and handlers may
	})
	return f
}

// request sends a request and returns the client.
func (f *fixture) request(head, body string) *rawClient {
	f.t.Helper()
	c := f.dialRaw()
	c.write([]byte(head + "\r\nHost: x\r\n\r\n" + body))
	return c
}

func (c *rawClient) response() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// TestServerBodies pins that a body which comes too slowly, or not at all, is over
// whatever the handler does with it.
func TestServerBodies(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"reads": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
			}
		},
		"reads nothing": func(http.ResponseWriter, *http.Request) {},
	}
	for name, h := range handlers {
		for pause, limit := range map[time.Duration]time.Duration{500 * time.Millisecond: 4 * time.Second, time.Hour: 2 * time.Second} {
			t.Run(fmt.Sprintf("%s, a byte each %v", name, pause), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := serveHandler(t, h, websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Read: time.Second, Body: 3 * time.Second}})
					c := f.request("POST / HTTP/1.1\r\nContent-Length: 100000", "")
					stop := make(chan struct{})
					var group sync.WaitGroup
					group.Go(func() {
						for {
							select {
							case <-time.After(pause):
								c.write([]byte("x"))
							case <-stop:
								return
							}
						}
					})
					if d, got := c.hungUp(); d > limit {
						t.Errorf("over after %v with %q", d, got)
					}
					close(stop)
					group.Wait()
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := serveHandler(t, handlers["reads"], websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Read: time.Second, Body: time.Minute}})
		c := f.request("POST / HTTP/1.1\r\nContent-Length: 40", "")
		if err := c.nc.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			pass(900 * time.Millisecond)
			c.write([]byte("x"))
		}
		if resp := c.response(); resp.StatusCode != 200 || resp.Close {
			t.Errorf("slow but steady: %v", resp)
		}
		// Its deadline is not that of the next request.
		pass(90 * time.Second)
		c.write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"))
		if resp := c.response(); resp.StatusCode != 200 {
			t.Errorf("the next request: %v", resp)
		}
	})
}

func TestServerBodyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := &counts{values: map[string]float64{}}
		errs := make(chan error, 10)
		goOn := make(chan struct{})
		f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			errs <- err
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			<-goOn
		}, websocket.ServerConfig{Metrics: counted, Limits: websocket.ServerLimits{BodyBytes: 10_000, BodiesBytes: 10_000}})
		if resp := f.request("POST / HTTP/1.1\r\nContent-Length: 10001", "").response(); resp.StatusCode != 413 || !resp.Close {
			t.Errorf("too long: %v", resp)
		}
		// post sends a body in a goroutine: the server need not take all of it.
		post := func(head, body string) *rawClient {
			c := f.request("POST / HTTP/1.1\r\n"+head, "")
			go c.write([]byte(body))
			return c
		}
		body := func(n int) *rawClient { return post(fmt.Sprintf("Content-Length: %d", n), strings.Repeat("x", n)) }
		chunked := post("Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 10001, strings.Repeat("x", 10001)))
		var large *http.MaxBytesError
		if err := <-errs; !errors.As(err, &large) || chunked.response().StatusCode != 503 {
			t.Errorf("too long in chunks: %v", err)
		}
		first := body(10_000)
		if err := <-errs; err != nil {
			t.Error(err)
		}
		second := body(4<<10 + 5000)
		if err := <-errs; !errors.Is(err, websocket.ErrBodies) {
			t.Errorf("beyond all bodies: %v", err)
		}
		if resp := second.response(); resp.StatusCode != 503 || !resp.Close {
			t.Errorf("beyond all bodies: %v", resp)
		}
		var small []*rawClient // have room whatever others use
		for range 20 {
			small = append(small, body(4<<10))
			if err := <-errs; err != nil {
				t.Errorf("small: %v", err)
			}
		}
		close(goOn)
		for _, c := range append(small, first) {
			if resp := c.response(); resp.StatusCode != 200 || resp.Close {
				t.Errorf("first: %v", resp)
			}
		}
		if resp := body(4<<10 + 5000).response(); resp.StatusCode != 200 {
			t.Errorf("with room again: %v", resp)
		}
		if counted.get("websocket.refused,reason:body") != 2 || counted.get("websocket.refused,reason:bodies") != 1 {
			t.Errorf("counted: %v", counted.values)
		}
	})
}

// TestServerBodiesOfOneAddress pins that an address leaves as many bytes of bodies to
// the others as it has itself.
func TestServerBodiesOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		goOn := make(chan struct{})
		f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			errs <- err
			<-goOn
		}, websocket.ServerConfig{
			ClientAddress: func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-From")) },
			Limits:        websocket.ServerLimits{BodyBytes: 10_000, BodiesBytes: 60_000},
		})
		const n = 10_000 // of which 5,904 count
		for at, want := range []struct {
			from string
			err  error
		}{
			{"192.0.2.1", nil}, {"192.0.2.1", nil}, {"192.0.2.1", nil}, {"192.0.2.1", nil}, {"192.0.2.1", nil},
			{"192.0.2.1", websocket.ErrBodies}, {"192.0.2.1", websocket.ErrBodies},
			{"192.0.2.2", nil}, {"192.0.2.2", nil}, {"192.0.2.2", websocket.ErrBodies}, {"192.0.2.3", nil},
		} {
			c := f.request(fmt.Sprintf("POST / HTTP/1.1\r\nX-From: %s\r\nContent-Length: %d", want.from, n), "")
			go c.write(make([]byte, n))
			if err := <-errs; !errors.Is(err, want.err) {
				t.Errorf("body %d of %s: %v, want %v", at, want.from, err, want.err)
			}
		}
		close(goOn)
	})
}

// TestServerResponses pins that a client which takes nothing is cut off, and that a
// slow one and a slow handler are not.
func TestServerResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				_, _ = io.WriteString(w, "first")
				pass(30 * time.Second)
				return
			}
			_, err := w.Write(make([]byte, 200_000))
			ended <- err
		}, websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Write: time.Second}})
		begin := time.Now()
		f.request("GET / HTTP/1.1", "")
		if err := <-ended; err == nil || time.Since(begin) != time.Second {
			t.Errorf("takes nothing: %v after %v", err, time.Since(begin))
		}
		resp := f.request("GET / HTTP/1.1", "").response()
		var n int
		var err error
		for piece := make([]byte, 8192); err == nil; {
			var m int
			m, err = resp.Body.Read(piece)
			n += m
			pass(300 * time.Millisecond)
		}
		if n != 200_000 || err != io.EOF || <-ended != nil {
			t.Errorf("slow: %d bytes, %v", n, err)
		}
		if data, err := io.ReadAll(f.request("GET /late HTTP/1.1", "").response().Body); string(data) != "first" || err != nil {
			t.Errorf("late: %q %v", data, err)
		}
	})
}

// TestServerRequests pins that one address cannot use up all requests.
func TestServerRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-goOn
			}
		}, websocket.ServerConfig{Limits: websocket.ServerLimits{Requests: 10}, ClientAddress: clientHeader})
		var busy []*rawClient
		for range 5 {
			busy = append(busy, f.request("GET /hang HTTP/1.1\r\nX-From: 10.0.0.1", ""))
			synctest.Wait()
		}
		if resp := f.request("GET /readyz HTTP/1.1\r\nX-From: 10.0.0.1", "").response(); resp.StatusCode != 503 || !resp.Close || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("a sixth of the same: %v", resp)
		}
		if resp := f.request("GET /readyz HTTP/1.1\r\nX-From: 10.0.0.2", "").response(); resp.StatusCode != 200 {
			t.Errorf("of another address: %v", resp)
		}
		close(goOn)
		for _, c := range busy {
			if resp := c.response(); resp.StatusCode != 200 {
				t.Errorf("one of the five: %v", resp)
			}
		}
		if resp := f.request("GET /readyz HTTP/1.1\r\nX-From: 10.0.0.1", "").response(); resp.StatusCode != 200 {
			t.Errorf("afterwards: %v", resp)
		}
	})
}

// TestServerIdle pins that idle connections of one client do not keep others out.
func TestServerIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := &counts{values: map[string]float64{}}
		f := serveHandler(t, func(http.ResponseWriter, *http.Request) {}, websocket.ServerConfig{Metrics: counted, Limits: websocket.ServerLimits{Waiting: 10}})
		var idle []*rawClient
		for range 30 {
			c := f.request("GET / HTTP/1.1", "")
			if resp := c.response(); resp.StatusCode != 200 {
				t.Fatalf("kept out: %v", resp)
			}
			idle = append(idle, c)
			synctest.Wait()
		}
		if d, _ := idle[0].hungUp(); d != 0 {
			t.Errorf("the oldest was closed after %v", d)
		}
		last := idle[len(idle)-1]
		last.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if resp := last.response(); resp.StatusCode != 200 {
			t.Errorf("the newest: %v", resp)
		}
		if got := counted.get("websocket.refused,reason:waiting"); got < 20 {
			t.Errorf("%v were counted", got)
		}
	})
}

// TestServerShutdown pins that requests which do not end do not spoil an orderly
// end.
func TestServerShutdown(t *testing.T) {
	for name, send := range map[string]func(f *fixture){
		"slow body":      func(f *fixture) { f.request("POST / HTTP/1.1\r\nContent-Length: 10", "x") },
		"slow reader":    func(f *fixture) { f.request("GET /large HTTP/1.1", "") },
		"long handler":   func(f *fixture) { f.request("GET /long HTTP/1.1", "") },
		"silent":         func(f *fixture) { f.dialRaw() },
		"idle":           func(f *fixture) { f.request("GET /none HTTP/1.1", "").response() },
		"half of a head": func(f *fixture) { f.dialRaw().write([]byte("GET / HTTP/1.1\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/large":
						_, _ = w.Write(make([]byte, 1<<20))
					case "/long":
						<-r.Context().Done()
					case "/":
						_, _ = io.ReadAll(r.Body)
					}
				}, websocket.ServerConfig{Timeouts: websocket.ServerTimeouts{Header: time.Hour, Read: time.Hour, Body: time.Hour, Write: time.Hour, Drain: 2 * time.Second}})
				send(f)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				begin := time.Now()
				if err := f.server.Shutdown(ctx); err != nil || time.Since(begin) > 3*time.Second {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
			})
		})
	}
}

// TestServerPassesOn pins that handlers can do what they can without the gate.
func TestServerPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/none":
				if r.Body != http.NoBody {
					t.Error("a body of its own")
				}
				w.(http.Flusher).Flush()
			case "/own":
				// A deadline of the handler replaces those of the server.
				if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
				if data, err := io.ReadAll(r.Body); string(data) != "x" || err != nil {
					t.Errorf("%q %v", data, err)
				}
			case "/hijack":
				nc, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n")
				_ = nc.Close()
			}
		}, websocket.ServerConfig{Hosts: []string{"x"}, Timeouts: websocket.ServerTimeouts{Read: time.Second, Body: time.Second}})
		if resp := f.request("GET /none HTTP/1.1", "").response(); resp.StatusCode != 200 {
			t.Error(resp)
		}
		own := f.request("POST /own HTTP/1.1\r\nContent-Length: 1", "")
		pass(20 * time.Second)
		own.write([]byte("x"))
		if resp := own.response(); resp.StatusCode != 200 {
			t.Error(resp)
		}
		if resp := f.request("GET /hijack HTTP/1.1", "").response(); resp.StatusCode != 204 {
			t.Error(resp)
		}
		c := f.dialRaw()
		c.write([]byte("GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n"))
		if resp := c.response(); resp.StatusCode != 421 || !resp.Close {
			t.Errorf("another host: %v", resp)
		}
		// A Content-Length beside chunks may mean that a proxy has seen another end.
		both := f.request("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp := both.response(); !resp.Close {
			t.Errorf("length and chunks: %v", resp)
		}
		if _, rest := both.hungUp(); rest != "" {
			t.Errorf("a second response: %q", rest)
		}
	})
}

// TestServerLog pins that what clients and handlers can make net/http report has
// a bound.
func TestServerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &syncBuffer{}
		f := serveHandler(t, func(http.ResponseWriter, *http.Request) { panic("boom") }, websocket.ServerConfig{Logger: slog.New(slog.NewTextHandler(out, nil))})
		for range 3 {
			for range 50 {
				f.request("GET / HTTP/1.1", "").hungUp()
			}
			pass(2 * time.Second)
		}
		text := out.String()
		if n := strings.Count(text, "\n"); n != 3 || !strings.Contains(text, "boom") || !strings.Contains(text, "left_out=49") {
			t.Errorf("%d lines: %.2000s", n, text)
		}
	})
}

// clientHeader takes the address of a client from a header of these tests.
func clientHeader(r *http.Request) (addr netip.Addr) {
	_ = addr.UnmarshalText([]byte(r.Header.Get("X-From")))
	return addr
}
