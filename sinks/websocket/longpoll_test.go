package websocket_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

type polled struct {
	Messages []string `json:"messages"`
	Status   int      `json:"status"`
	Token    string   `json:"token"`
	Reason   string   `json:"reason"`
}

// poller is a long-poll client that calls the endpoint without a network.
type poller struct {
	f     *fixture
	token string
	query string
}

func (p *poller) request(method, contentType, body string, change ...func(r *http.Request)) (polled, *http.Response) {
	p.f.t.Helper()
	r := httptest.NewRequest(method, "/socket/longpoll?"+p.query, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if p.token != "" {
		r.Header.Set("X-Phoenix-Longpoll-Token", p.token)
	}
	for _, f := range change {
		f(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	w := httptest.NewRecorder()
	p.f.endpoint.ServeHTTP(w, r.WithContext(ctx))
	resp := w.Result()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		p.f.t.Fatal(err)
	}
	var a polled
	if resp.StatusCode == 200 && len(data) > 0 {
		if err := json.Unmarshal(data, &a); err != nil {
			p.f.t.Fatalf("%q: %v", data, err)
		}
	}
	return a, resp
}

func (p *poller) get() polled { a, _ := p.request("GET", "", ""); return a }

func (p *poller) post(messages ...string) int {
	a, _ := p.request("POST", "application/x-ndjson", strings.Join(messages, "\n"))
	return a.Status
}

func (f *fixture) poll(query string) *poller {
	f.t.Helper()
	p := &poller{f: f, query: query}
	a := p.get()
	if a.Status != 410 || a.Token == "" {
		f.t.Fatalf("begin: %+v", a)
	}
	p.token = a.Token
	return p
}

func pollSetup(a *app) setup {
	return setup{
		pipes: true, channels: map[string]*app{"room:*": a},
		socket: websocket.SocketConfig[user]{ID: func(u user) string { return "id:" + u.ID }},
		mount:  websocket.MountConfig{LongPoll: &websocket.LongPollConfig{}},
	}
}

func expectPoll(t *testing.T, a polled, status int, messages ...string) {
	t.Helper()
	if a.Status != status || fmt.Sprint(a.Messages) != fmt.Sprint(messages) {
		t.Errorf("got %d %q, want %d %q", a.Status, a.Messages, status, messages)
	}
}

func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{}
		a.in = func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			if event == "crash" {
				panic("crash")
			}
			if _, err := ch.Broadcast(ctx, "e", p); event == "all" && err != nil {
				t.Error(err)
			}
			return websocket.OK(p), nil
		}
		f := start(t, pollSetup(a))
		p := f.poll("vsn=2.0.0&user=1")
		// P78
		if s := p.post(`["1","1","room:a","phx_join",{}]`, `["1","2","room:a","all",{"n":1}]`); s != 200 {
			t.Errorf("post: %d", s)
		}
		synctest.Wait()
		expectPoll(t, p.get(), 200, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`, `[null,null,"room:a","e",{"n":1}]`,
			`["1","2","room:a","phx_reply",{"response":{"n":1},"status":"ok"}]`)
		begin := time.Now()
		if got := p.get(); got.Status != 204 || got.Token != p.token || time.Since(begin) != 10*time.Second {
			t.Errorf("empty: %+v after %v", got, time.Since(begin))
		}
		// P79
		if s := p.post(`["9","3","room:b","x",{}]`); s != 200 {
			t.Errorf("post: %d", s)
		}
		expectPoll(t, p.get(), 200, `[null,"3","room:b","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
		// P88: a push while the GET waits
		go func() {
			pass(5 * time.Second)
			_, _ = f.endpoint.Broadcast(context.Background(), "room:a", "late", nil)
		}()
		begin = time.Now()
		expectPoll(t, p.get(), 200, `[null,null,"room:a","late",{}]`)
		if time.Since(begin) != 5*time.Second {
			t.Errorf("after %v", time.Since(begin))
		}
		// P84: another content type is one text message; P60: binary in
		if got, _ := p.request("POST", "text/plain", `["1","4","room:a","x",{"a":`+"\n"+`1}]`); got.Status != 200 {
			t.Errorf("plain: %+v", got)
		}
		synctest.Wait()
		p.get()
		if s := p.post(base64.StdEncoding.EncodeToString([]byte("\x00\x01\x01\x06\x01" + "15room:ax" + "\xff"))); s != 200 {
			t.Errorf("binary: %d", s)
		}
		synctest.Wait()
		// The reply would be binary, which this transport cannot carry: the
		// channel crashes as it does in Phoenix.
		expectPoll(t, p.get(), 200, `["1","1","room:a","phx_error",{"reason":"channel_crash"}]`)
		// P67
		p.post(`["6","6","room:a","phx_join",{}]`, `["6","7","room:a","crash",{}]`)
		synctest.Wait()
		expectPoll(t, p.get(), 200, `["6","6","room:a","phx_reply",{"response":{},"status":"ok"}]`, `["6","6","room:a","phx_error",{"reason":"channel_crash"}]`)
		if s := f.endpoint.Snapshot(); s.Connections != 1 || s.Channels != 0 {
			t.Errorf("%+v", s)
		}
		// P71
		if n, err := f.endpoint.Disconnect(t.Context(), "id:1"); n != 1 || err != nil {
			t.Error(n, err)
		}
		expectPoll(t, p.get(), 500)
		if s := p.post(`[null,"1","phoenix","heartbeat",{}]`); s != 410 {
			t.Errorf("post: %d", s)
		}
	})
}

func TestLongPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := make(chan error, 10)
		a := &app{terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason }}
		release := make(chan struct{})
		a.join = func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			if ch.Topic() == "room:slow" {
				<-release
			}
			return nil, nil
		}
		f := start(t, pollSetup(a))
		p := f.poll("vsn=2.0.0")
		p.post(`["1","1","room:a","phx_join",{}]`)
		begin := time.Now()
		<-reasons // P82
		if d := time.Since(begin); d != 15*time.Second {
			t.Errorf("gone after %v, want one and a half windows", d)
		}
		expectPoll(t, polled{Status: p.post(`["1","2","room:a","x",{}]`)}, 410)

		p = f.poll("vsn=2.0.0") // P81
		begin = time.Now()
		if s := p.post(`["1","1","room:slow","phx_join",{}]`); s != 408 || time.Since(begin) != 10*time.Second {
			t.Errorf("hanging: %d after %v", s, time.Since(begin))
		}
		close(release)

		for _, bad := range []string{`["1"]`, `["1","1","room:a","x","` + strings.Repeat("x", 70_000) + `"]`} {
			p = f.poll("vsn=2.0.0")
			if s := p.post(bad); s != 410 {
				t.Errorf("%.20s: %d", bad, s)
			}
			expectPoll(t, polled{Status: p.post(`[null,"1","phoenix","heartbeat",{}]`)}, 410)
		}
		p = f.poll("vsn=2.0.0")
		if _, resp := p.request("POST", "application/x-ndjson", "!!"); resp.StatusCode != 400 {
			t.Errorf("bad base64: %d", resp.StatusCode)
		}
		if _, resp := p.request("POST", "application/x-ndjson", strings.Repeat("[", 9<<20)); resp.StatusCode != 413 {
			t.Errorf("big body: %d", resp.StatusCode)
		}
		// A second GET sends the first one home.
		first := make(chan polled)
		go func() { first <- p.get() }()
		synctest.Wait()
		second := make(chan polled)
		go func() { second <- p.get() }()
		expectPoll(t, <-first, 204)
		p.post(`[null,"1","phoenix","heartbeat",{}]`)
		if got := <-second; got.Status != 200 || len(got.Messages) != 1 {
			t.Errorf("%+v", got)
		}
		// Shutdown does not wait for clients that do not come back.
		begin = time.Now()
		if err := f.endpoint.Close(context.Background()); err != nil || time.Since(begin) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestLongPollRefusals(t *testing.T) {
	s := pollSetup(&app{})
	token := ""
	s.socket.Connect = func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		token = r.AuthToken
		if r.Params.Get("do") == "refuse" {
			return user{}, &websocket.StatusError{Status: 429}
		}
		return user{}, nil
	}
	s.mount.AuthToken = true
	s.mount.Timeouts.Close = 10 * time.Millisecond // no client polls any more at the end
	s.pipes = false
	f := start(t, s)
	for name, test := range map[string]struct {
		query  string
		change func(r *http.Request)
		status int
		reason string
	}{
		"P15 refused": {"do=refuse", nil, 403, "refused"},
		"P86 version": {"vsn=9.9.9", nil, 403, "protocol version not supported"},
		"P3 origin":   {"", set("Origin", "http://evil.com"), 403, "origin not allowed"},
		"P26 token":   {"", set("X-Phoenix-AuthToken", "abc"), 410, ""},
	} {
		p := &poller{f: f, query: test.query}
		a, resp := p.request("GET", "", "", func(r *http.Request) {
			if test.change != nil {
				test.change(r)
			}
		})
		if a.Status != test.status || a.Reason != test.reason || resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" ||
			resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %+v %v", name, a, resp.Header)
		}
		if name == "P26 token" && token != "abc" {
			t.Errorf("token %q", token)
		}
	}
	p := &poller{f: f} // P89
	if _, resp := p.request("OPTIONS", "", "", set("Access-Control-Request-Headers", "x-a")); resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Headers") != "x-a" ||
		resp.Header.Get("Access-Control-Allow-Methods") != "get, post, options" || resp.Header.Get("Access-Control-Max-Age") != "3600" {
		t.Errorf("OPTIONS: %v", resp.Header)
	}
	if _, resp := p.request("PUT", "", ""); resp.StatusCode != 400 {
		t.Errorf("PUT: %d", resp.StatusCode)
	}
	// P83: the token in the query works as well, the one in the header wins.
	p = f.poll("vsn=2.0.0")
	header := p.token
	p.query, p.token = "token="+header, ""
	if a, _ := p.request("POST", "", `[null,"1","phoenix","heartbeat",{}]`); a.Status != 200 {
		t.Errorf("by query: %+v", a)
	}
	p.query, p.token = "token=wrong", header
	if a, _ := p.request("POST", "", `[null,"1","phoenix","heartbeat",{}]`); a.Status != 200 {
		t.Errorf("by header: %+v", a)
	}
}
