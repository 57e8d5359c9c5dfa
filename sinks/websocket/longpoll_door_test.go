package websocket_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestLongPollOwnToken pins that an application's parameter named token and the
// session's, which phoenix.js up to 1.8 appends under the same name, do not
// disturb each other, also when a session is begun again.
func TestLongPollOwnToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		s := pollSetup(&app{})
		s.socket.Connect = func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			seen = append(seen, r.Params.Get("token"))
			return user{ID: r.Params.Get("user")}, nil
		}
		f := start(t, s)
		const own = "token=a%26b&vsn=2.0.0"
		first := f.poll(own + "&") // phoenix.js appends nothing, with its "&"
		p := &poller{f: f, query: own + "&token=" + first.token}
		if got := p.post(`["1","1","room:a","phx_join",{}]`); got != 200 {
			t.Errorf("POST: %d", got)
		}
		synctest.Wait()
		expectPoll(t, p.get(), 200, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		if n, err := f.endpoint.Disconnect(t.Context(), "id:"); n != 1 || err != nil {
			t.Error(n, err)
		}
		// As long as the session is known, and later: the client then connects again.
		for range 2 {
			expectPoll(t, p.get(), 500)
			pass(time.Hour)
		}
		p.token = ""
		p.query = own + "&"
		if again := p.get(); again.Status != 410 || again.Token == "" || again.Token == first.token {
			t.Errorf("begun again: %+v", again)
		}
		// Phoenix.js 1.6 and 1.7 after a 410 without a token, as of other servers.
		p.query, p.token = own+"&token=undefined", ""
		if a := p.get(); a.Status != 410 || a.Token == "" {
			t.Errorf("begun again without a token: %+v", a)
		}
		// Another client may write its own token last.
		p.query = "vsn=2.0.0&token=mine"
		if a := p.get(); a.Status != 410 || a.Token == "" {
			t.Errorf("the token of another client: %+v", a)
		}
		if want := "[a&b a&b a&b mine]"; fmt.Sprint(seen) != want {
			t.Errorf("Connect saw %q, want %s", seen, want)
		}
	})
}

// postHead returns the head of a POST.
func (f *fixture) postHead(token string, length int) string {
	return fmt.Sprintf("POST /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", token, f.addr, length)
}

func TestLongPollSlowBody(t *testing.T) {
	for name, server := range map[string]*websocket.ServerConfig{"in a plain server": nil, "in NewServer": {Plaintext: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := pollSetup(&app{})
				s.mount.Timeouts.Message = time.Second
				s.server = server
				f := start(t, s)
				for token, want := range map[string]time.Duration{f.poll("vsn=2.0.0").token: time.Second, "": 0, "longpoll.unknown": 0} {
					c := f.dialRaw()
					c.write([]byte(f.postHead(token, 100_000)))
					begin := time.Now()
					stop := make(chan struct{})
					go func() { // three bytes a second, as long as they are taken
						defer close(stop)
						for {
							if _, err := c.nc.Write([]byte("x")); err != nil {
								return
							}
							pass(300 * time.Millisecond)
						}
					}()
					resp, err := http.ReadResponse(c.r, nil)
					if err != nil || time.Since(begin) != want || !resp.Close || (resp.StatusCode == 408) != (want > 0) {
						t.Errorf("token %q: %v %v after %v", token, resp, err, time.Since(begin))
					}
					_ = c.nc.Close()
					<-stop
				}
			})
		})
	}
}

// TestLongPollOneBody pins that a session holds one body at a time, whatever it
// is sent, and that its end ends the reading of that body.
func TestLongPollOneBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, pollSetup(&app{}))
		token := f.poll("vsn=2.0.0").token
		const n, size = 60, 1 << 20
		var taken atomic.Int64
		var clients []*rawClient
		done := make(chan struct{})
		for range n {
			c := f.dialRaw()
			clients = append(clients, c)
			go func() {
				defer func() { done <- struct{}{} }()
				c.write([]byte(f.postHead(token, size)))
				for range size/1024 - 1 { // not the whole of it
					m, err := c.nc.Write(make([]byte, 1024))
					taken.Add(int64(m))
					if err != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
		// net/http reads 4 KiB of a connection before a handler asks for them.
		if got := taken.Load(); got > size+n*4096 {
			t.Errorf("%d bytes of bodies were read at once", got)
		}
		begin := time.Now()
		if err := f.endpoint.Close(t.Context()); err != nil {
			t.Error(err)
		}
		var group sync.WaitGroup
		for _, c := range clients {
			group.Go(func() { _, _ = c.hungUp() })
		}
		group.Wait()
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("bodies were read for %v after Close", d)
		}
		for range n {
			<-done
		}
	})
}

func TestLongPollBodyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := pollSetup(&app{join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
			<-release
			return nil, nil
		}})
		s.endpoint.Limits.BodyBytes = 1000
		f := start(t, s)
		body := `["1","1","room:a","phx_join",{"a":"` + strings.Repeat("x", 600) + `"}]`
		one, two := f.poll("vsn=2.0.0"), f.poll("vsn=2.0.0")
		first := make(chan int)
		go func() { first <- one.post(body) }()
		synctest.Wait()
		if _, resp := two.request("POST", "application/x-ndjson", body); resp.StatusCode != 503 {
			t.Errorf("beyond BodyBytes: %d", resp.StatusCode)
		}
		close(release)
		if got := <-first; got != 200 {
			t.Errorf("the first: %d", got)
		}
		if got := two.post(body); got != 200 {
			t.Errorf("the second, once there is room: %d", got)
		}
	})
}

// TestLongPollReaders pins that a client which takes nothing of a response is
// gone after the write timeout, and that one which is slow gets all of it.
func TestLongPollReaders(t *testing.T) {
	for name, server := range map[string]*websocket.ServerConfig{"in a plain server": nil, "in NewServer": {Plaintext: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error, 2)
				s := pollSetup(&app{terminate: func(_ context.Context, _ *websocket.Channel, reason error) { ended <- reason }})
				s.mount.Timeouts.Write = 500 * time.Millisecond
				s.server = server
				f := start(t, s)
				ask := func() *rawClient {
					p := f.poll("vsn=2.0.0")
					p.post(`["1","1","room:a","phx_join",{}]`)
					for range 10 {
						if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", map[string]string{"pad": strings.Repeat("x", 30_000)}); err != nil {
							t.Fatal(err)
						}
					}
					c := f.dialRaw()
					c.write(fmt.Appendf(nil, "GET /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: x\r\n\r\n", p.token))
					return c
				}
				ask()
				begin := time.Now()
				if err := got(t, ended); err != websocket.ErrClosed || time.Since(begin) != 500*time.Millisecond {
					t.Errorf("takes nothing: ended with %v after %v", err, time.Since(begin))
				}
				slow := ask()
				resp, err := http.ReadResponse(slow.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				var all []byte
				for piece := make([]byte, 10_000); err == nil; {
					var n int
					n, err = resp.Body.Read(piece)
					all = append(all, piece[:n]...)
					pass(200 * time.Millisecond)
				}
				var a polled
				if err := json.Unmarshal(all, &a); err != nil || len(a.Messages) != 11 || time.Since(begin) < 5*time.Second {
					t.Errorf("slow: %d bytes in %v: %v", len(all), time.Since(begin), err)
				}
			})
		})
	}
}

// TestLongPollServerTimeouts pins that a GET may wait for longer than the
// timeouts of the server allow, and that its own do not outlive it.
func TestLongPollServerTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pollSetup(&app{})
		s.mount.Timeouts.Write = time.Second
		s.tune = func(s *http.Server) {
			s.WriteTimeout, s.ReadTimeout, s.IdleTimeout = time.Second, time.Second, time.Hour
		}
		f := start(t, s)
		p := f.poll("vsn=2.0.0")
		c := f.dialRaw()
		get := func() (a polled) {
			c.write(fmt.Appendf(nil, "GET /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: x\r\n\r\n", p.token))
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(resp.Body)
			if err != nil || json.Unmarshal(data, &a) != nil {
				t.Fatalf("%q: %v", data, err)
			}
			return a
		}
		p.post(`["1","1","room:a","phx_join",{}]`)
		get()
		go func() {
			pass(5 * time.Second)
			_, _ = f.endpoint.Broadcast(context.Background(), "room:a", "late", nil)
		}()
		expectPoll(t, get(), 200, `[null,null,"room:a","late",{}]`)
		pass(3 * time.Second)
		expectPoll(t, get(), 204)
		c.r = bufio.NewReader(c.nc)
		expectPoll(t, get(), 204)
	})
}

func TestLongPollTooManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, pollSetup(&app{}))
		p := f.poll("vsn=2.0.0")
		lines := make([]string, 101)
		for i := range lines {
			lines[i] = fmt.Sprintf(`[null,"%d","phoenix","heartbeat",{}]`, i)
		}
		if _, resp := p.request("POST", "application/x-ndjson", strings.Join(lines, "\n")); resp.StatusCode != 413 {
			t.Errorf("101 lines: %d", resp.StatusCode)
		}
		if got := p.post(lines[:100]...); got != 200 {
			t.Errorf("100 lines: %d", got)
		}
		if got := p.get(); len(got.Messages) != 100 {
			t.Errorf("%d messages", len(got.Messages))
		}
	})
}
