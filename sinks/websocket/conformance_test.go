package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// TestConformance holds the cases of what a server compatible with Phoenix
// must do, by the numbers of docs/conformance-channels.md.
func TestConformance(t *testing.T) {
	for _, group := range [][]conformanceCase{handshakeCases, channelCases, broadcastCases, endCases} {
		for _, c := range group {
			t.Run(c.name, c.run)
		}
	}
}

type conformanceCase struct {
	name string
	run  func(t *testing.T)
}

// status returns the status of the response to an upgrade request.
func status(t *testing.T, m websocket.MountConfig, target string, change func(r *http.Request)) int {
	t.Helper()
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, m)
	got, _ := answer(e, ask("GET", target, change))
	return got
}

func statuses(t *testing.T, m websocket.MountConfig, want map[string]int) {
	t.Helper()
	for origin, code := range want {
		change := set("Origin", origin)
		if origin == "" {
			change = nil
		}
		if got := status(t, m, "http://example.com/socket/websocket", change); got != code {
			t.Errorf("origin %q: %d, want %d", origin, got, code)
		}
	}
}

// seenBy connects and returns what Connect was given.
func seenBy(t *testing.T, m websocket.MountConfig, target string, change func(r *http.Request)) (seen *websocket.ConnectRequest) {
	t.Helper()
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		seen = r
		return user{}, nil
	}}, m)
	answer(e, ask("GET", target, change))
	if seen == nil {
		t.Fatal("Connect was not called")
	}
	return seen
}

const path = "/socket/websocket"

var handshakeCases = []conformanceCase{
	{"P1_plain_get", func(t *testing.T) {
		e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
		if code, body := answer(e, ask("GET", path, header("Connection", "", "Upgrade", ""))); code != 400 || !strings.Contains(body, "'connection'") {
			t.Errorf("%d %q", code, body)
		}
	}},
	{"P2_other_method", func(t *testing.T) {
		e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
		for _, method := range []string{"POST", "PUT", "HEAD", "DELETE"} {
			if code, _ := answer(e, ask(method, path, nil)); code != 400 {
				t.Errorf("%s: %d", method, code)
			}
		}
	}},
	{"P3_origin", func(t *testing.T) {
		statuses(t, websocket.MountConfig{Origins: []string{"//a.com"}}, map[string]int{"http://a.com": passes, "http://b.com": 403, "": passes})
	}},
	{"P4_configured_host", func(t *testing.T) {
		statuses(t, websocket.MountConfig{Origins: []string{"//a.com"}}, map[string]int{"https://a.com:99": passes, "http://b.com": 403})
	}},
	{"P5_endpoint_default", TestTwoMountsHaveTwoPolicies},
	{"P6_list_entries", func(t *testing.T) {
		statuses(t, websocket.MountConfig{Origins: []string{"//a.com", "http://b.com", "//c.com:81"}}, map[string]int{
			"https://a.com:5": passes, "http://b.com": passes, "https://b.com": 403, "http://b.com:81": 403, "http://c.com:81": passes, "http://c.com": 403})
	}},
	{"P7_wildcards", func(t *testing.T) {
		statuses(t, websocket.MountConfig{Origins: []string{"//*.ex.com", "//*.foo.org", "//x.net"}}, map[string]int{
			"http://ex.com": passes, "http://a.ex.com": passes, "http://a.prefix-ex.com": 403, "http://b.foo.org": passes, "http://a.x.net": 403})
	}},
	{"P9_own_origin", func(t *testing.T) {
		statuses(t, websocket.MountConfig{Origin: websocket.ExactOrigin}, map[string]int{
			"http://example.com": passes, "ws://example.com": passes, "https://example.com": 403, "wss://example.com": 403, "http://www.example.com": 403, "http://example.com:81": 403})
	}},
	{"P10_callback", func(t *testing.T) {
		extra := "a.com"
		check := func(_ *http.Request, o *url.URL) bool { return o.Host == extra }
		statuses(t, websocket.MountConfig{Origin: check}, map[string]int{"http://a.com": passes, "http://b.com": 403})
	}},
	{"P11_two_policies", TestTwoMountsHaveTwoPolicies},
	{"P13_bad_option", func(t *testing.T) {
		e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var bad *websocket.OptionError
		if err := e.Mount("/x", websocket.NewSocket(websocket.SocketConfig[user]{}), websocket.MountConfig{Limits: websocket.Limits{MessageBytes: -1}}); !errors.As(err, &bad) {
			t.Errorf("%v", err)
		}
	}},
	{"P14_subprotocols", TestSubprotocols},
	{"P15_refusals", TestHandshakeChecksInOrder},
	{"P16_version", func(t *testing.T) {
		if got := status(t, websocket.MountConfig{}, path+"?vsn=123.1.1", nil); got != 403 {
			t.Errorf("%d", got)
		}
		if got := status(t, websocket.MountConfig{}, path, nil); got != passes {
			t.Errorf("%d", got)
		}
	}},
	{"P17_x_headers", func(t *testing.T) {
		if r := seenBy(t, websocket.MountConfig{}, path, set("X-Tenant", "7")); r.Header.Get("x-tenant") != "7" {
			t.Error(r.Header)
		}
	}},
	{"P18_sec_websocket_headers", func(t *testing.T) {
		if r := seenBy(t, websocket.MountConfig{}, path, nil); r.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Error(r.Header)
		}
	}},
	{"P19_trace_headers", func(t *testing.T) {
		r := seenBy(t, websocket.MountConfig{}, path, header("Traceparent", "p", "Tracestate", "s"))
		if r.Header.Get("Traceparent") != "p" || r.Header.Get("Tracestate") != "s" {
			t.Error(r.Header)
		}
	}},
	{"P20_peer", func(t *testing.T) {
		if r := seenBy(t, websocket.MountConfig{}, path, func(r *http.Request) { r.RemoteAddr = "10.1.2.3:4" }); r.RemoteAddr != "10.1.2.3:4" {
			t.Error(r.RemoteAddr)
		}
	}},
	{"P21_uri", func(t *testing.T) {
		if r := seenBy(t, websocket.MountConfig{}, "https://a.com:81"+path+"?x=1", nil); r.URL.String() != "https://a.com:81/socket/websocket?x=1" {
			t.Error(r.URL)
		}
	}},
	{"P22_user_agent", func(t *testing.T) {
		if r := seenBy(t, websocket.MountConfig{}, path, set("User-Agent", "me")); r.UserAgent != "me" {
			t.Error(r.UserAgent)
		}
	}},
	{"P24_static_pairs", func(t *testing.T) { // whatever Connect closes over
		region := "eu"
		s := setup{socket: websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) { return user{ID: region}, nil }}}
		seen := make(chan string, 1)
		f := start(t, s, func(f *fixture) {
			f.socket.Channel("room:*", func(u user, _ string) websocket.Handler { seen <- u.ID; return &app{} })
		})
		channeltest.Connect(t, f.endpoint, path).Join("room:a", nil)
		if got(t, seen) != "eu" {
			t.Error("the state did not reach the channel")
		}
	}},
	{"P25_params_and_variables", TestConnectRequest},
	{"P26_auth_token", TestSubprotocols},
	{"P27_logs", TestSecretsAreNotLogged},
}

// conversation is a handler for the cases of channels.
func conversation(ends chan<- error) *app {
	a := &app{intercept: []string{"changed", "stopping"}}
	a.join = func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
		switch ch.Topic() {
		case "room:map":
			return map[string]int{"seats": 5}, nil
		case "room:refused":
			return nil, websocket.RefuseWith(map[string]string{"why": "full"})
		case "room:raises":
			panic("join")
		case "room:junk":
			return make(chan int), nil
		case "room:params":
			return p, nil
		case "room:pushes":
			return nil, ch.Send("joined")
		}
		return nil, nil
	}
	a.info = func(ctx context.Context, ch *websocket.Channel, msg any) error {
		if msg != "joined" {
			return nil
		}
		_, err := ch.Broadcast(ctx, "entered", nil)
		return errors.Join(ch.Push("welcome", nil), err)
	}
	a.in = func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
		switch event {
		case "echo":
			return websocket.OK(p), nil
		case "status":
			return websocket.Fail(nil), nil
		case "silent":
			return websocket.Reply{}, nil
		case "all":
			_, err := ch.Broadcast(ctx, "told", p)
			return websocket.OK(nil), err
		case "changed", "stopping":
			_, err := ch.Broadcast(ctx, event, p)
			return websocket.Reply{}, err
		case "binary":
			return websocket.OK(websocket.Binary{1}), ch.Push("bin", websocket.Binary{2})
		case "stop":
			return websocket.Reply{}, websocket.ErrStopped
		case "stop_reply":
			return websocket.OK(map[string]int{"bye": 1}), websocket.ErrStopped
		}
		return websocket.Reply{}, fmt.Errorf("unknown event %q", event)
	}
	a.out = func(_ context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error {
		if event == "stopping" {
			return websocket.ErrStopped
		}
		return ch.Push(event, map[string]any{"was": payload})
	}
	a.terminate = func(_ context.Context, ch *websocket.Channel, reason error) {
		_ = ch.Push("ending", nil) // not possible for all reasons
		if ends != nil {
			ends <- reason
		}
	}
	return a
}

// talk connects a client to conversation, in a bubble.
func talk(t *testing.T, run func(t *testing.T, f *fixture, c *channeltest.Client, ends chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan error, 100)
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)},
			socket: websocket.SocketConfig[user]{ID: func(u user) string { return "users:" + u.ID }}})
		run(t, f, channeltest.Connect(t, f.endpoint, path+"?user=1"), ends)
	})
}

func reply(t *testing.T, c *channeltest.Client, topic, wantStatus, want string) {
	t.Helper()
	if _, status, response := c.TryJoin(topic, map[string]int{"p": 1}); status != wantStatus || string(response) != want {
		t.Errorf("%s: %s %s, want %s %s", topic, status, response, wantStatus, want)
	}
}

var channelCases = []conformanceCase{
	{"P31_payload_must_be_a_map", TestBadPayloads},
	{"P41_join_then_pushes_then_broadcast", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(nil)}})
			p := f.connect("1")
			p.join(1, "room:pushes") // the reply comes first
			p.expect(`[null,null,"room:pushes","entered",{}]`)
			p.expect(`["1",null,"room:pushes","welcome",{}]`)
		})
	}},
	{"P42_join_reply", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:map", "ok", `{"seats":5}`)
		})
	}},
	{"P43_join_refused", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:refused", "error", `{"why":"full"}`)
		})
	}},
	{"P44_join_crashed", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:raises", "error", `{"reason":"join crashed"}`)
			reply(t, c, "room:junk", "error", `{"reason":"join crashed"}`)
		})
	}},
	{"P46_first_pattern", func(t *testing.T) {
		f := start(t, setup{}, func(f *fixture) {
			for _, pattern := range []string{"a:exact", "a:*", "a:never", "*"} {
				f.socket.Channel(pattern, func(user, string) websocket.Handler {
					return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
						return map[string]string{"by": pattern}, nil
					})
				})
			}
		})
		c := channeltest.Connect(t, f.endpoint, path)
		for topic, by := range map[string]string{"a:exact": "a:exact", "a:exact2": "a:*", "a:never": "a:*", "b": "*"} {
			if got := string(c.Join(topic, nil).Reply); got != `{"by":"`+by+`"}` {
				t.Errorf("%s by %s, want %s", topic, got, by)
			}
		}
	}},
	{"P47_replies", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			for _, v := range []any{map[string]int{"a": 1}, []int{1, 2}, "text", map[string]any{"deep": []any{map[string]any{"er": nil}}}} {
				ch.Push("echo", v).AssertReply("ok", v)
			}
			ch.Push("status", nil).AssertReply("error", nil)
			ch.Push("silent", nil).RefuteReply(time.Second)
		})
	}},
	{"P48_P49_reply_later", TestReplyLater},
	{"P51_P52_P53_leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan error, 1)
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)}})
			p := f.connect("1")
			p.join(1, "room:a")
			p.send(`["1","2","room:a","phx_leave",{}]`)
			p.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
			p.expect(`["1","1","room:a","phx_close",{}]`)
			p.expect(`["1",null,"room:a","ending",{}]`)
			if err := <-ends; !errors.Is(err, websocket.ErrLeft) {
				t.Error(err)
			}
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.Channels != 0 {
				t.Errorf("%+v", s)
			}
			p.send(`["1","3","room:a","phx_leave",{}]`) // twice
			p.expect(`["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]`)
			p.send(`["1","4","room:a","echo",{}]`)
			p.expect(`[null,"4","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
		})
	}},
	{"P55_join_refs", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": conversation(nil)}})
		p := f.connect("1")
		p.join(1, "room:a")
		p.send(`[null,"2","room:a","echo",{"null":1}]`)
		p.expect(`["1","2","room:a","phx_reply",{"response":{"null":1},"status":"ok"}]`)
		p.send(`["0","3","room:a","all",{"stale":1}]`)
		p.send(`["1","4","room:a","echo",{}]`)
		p.expect(`["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	}},
	{"P56_duplicate_join", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan error, 1)
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)}})
			p := f.connect("1")
			p.join(1, "room:a")
			p.join(2, "room:a")
			p.expect(`["1","1","room:a","phx_close",{}]`)
			if err := <-ends; !errors.Is(err, websocket.ErrDuplicateJoin) {
				t.Error(err)
			}
			if n := f.broadcast("room:a", 0, 1); n != 1 {
				t.Errorf("%d receivers", n)
			}
			p.expect(`[null,null,"room:a","e",{"n":0}]`)
		})
	}},
	{"P58_join_params", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:params", "ok", `{"p":1}`)
		})
	}},
	{"P60_binary", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			ch.Push("echo", websocket.Binary{0, 255}).AssertReply("ok", websocket.Binary{0, 255})
			ch.Push("binary", nil).AssertReply("ok", websocket.Binary{1})
			ch.AssertPush("bin", websocket.Binary{2})
			ch.Push("all", websocket.Binary{7}).AssertReply("ok", nil)
			ch.AssertBroadcast("told", websocket.Binary{7})
			ch.Push("echo", map[string]int{"text": 1}).AssertReply("ok", map[string]int{"text": 1})
		})
	}},
}

var broadcastCases = []conformanceCase{
	{"P61_all_and_sender", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, a *channeltest.Client, _ chan error) {
			b := channeltest.Connect(t, f.endpoint, path+"?user=2")
			ca, cb := a.Join("room:a", nil), b.Join("room:a", nil)
			ca.Push("all", map[string]int{"n": 1}).AssertReply("ok", nil)
			ca.AssertBroadcast("told", map[string]int{"n": 1})
			cb.AssertBroadcast("told", map[string]int{"n": 1})
		})
	}},
	{"P63_intercept", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "changed", map[string]int{"n": 5}); err != nil {
				t.Error(err)
			}
			ch.AssertPush("changed", map[string]any{"was": map[string]int{"n": 5}})
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "stopping", nil); err != nil {
				t.Error(err)
			}
			ch.AssertClosed()
		})
	}},
	{"P64_push_before_joined", TestSendAndSendAfter},
	{"P65_other_topics", TestOtherTopics},
	{"P66_unexpected_message", func(t *testing.T) {
		var out strings.Builder
		var mu sync.Mutex
		log := slog.New(slog.NewTextHandler(lockedWriter{&mu, &out}, nil))
		handles := make(chan *websocket.Channel, 1)
		f := start(t, setup{endpoint: websocket.EndpointConfig{Logger: log}}, func(f *fixture) {
			f.socket.Channel("room:*", func(user, string) websocket.Handler {
				return websocket.HandlerFunc(func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
					handles <- ch
					return nil, nil
				})
			})
		})
		c := channeltest.Connect(t, f.endpoint, path)
		room := c.Join("room:a", nil)
		if err := (<-handles).Send(struct{ secret string }{"hush"}); err != nil {
			t.Error(err)
		}
		eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return strings.Contains(out.String(), "without HandleInfo") })
		if strings.Contains(out.String(), "hush") {
			t.Error("the message was logged")
		}
		f.broadcast("room:a", 1, 2)
		room.AssertBroadcast("e", map[string]int{"n": 1})
	}},
}

// badValue cannot be encoded.
type badValue struct{}

func (badValue) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// TestPanicsOfValues holds row S20: whatever the application's values and
// callbacks do, the process and the other channels live.
func TestPanicsOfValues(t *testing.T) {
	bad := &app{
		join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			if ch.Topic() == "bad:join" {
				return badValue{}, nil
			}
			if ch.Topic() == "bad:refusal" {
				return nil, websocket.RefuseWith(badValue{})
			}
			return nil, nil
		},
		in: func(_ context.Context, ch *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
			return websocket.OK(badValue{}), nil
		},
	}
	f := start(t, setup{channels: map[string]*app{"room:*": {}}}, func(f *fixture) {
		f.socket.ChannelWith("bad:*", websocket.ChannelConfig{Conflate: func(string, websocket.Payload) string { panic("in Conflate") }},
			func(_ user, topic string) websocket.Handler {
				switch topic {
				case "bad:new":
					panic("in the factory")
				case "bad:nil":
					return nil
				}
				return bad
			})
	})
	c := channeltest.Connect(t, f.endpoint, path)
	room := c.Join("room:a", nil)
	for _, topic := range []string{"bad:join", "bad:new", "bad:nil", "bad:refusal"} {
		reply(t, c, topic, "error", `{"reason":"join crashed"}`)
	}
	ch := c.Join("bad:a", nil)
	if n, err := f.endpoint.Broadcast(t.Context(), "bad:a", "e", nil); n != 1 || err != nil {
		t.Errorf("Conflate: %d, %v", n, err)
	}
	ch.AssertBroadcast("e", nil)
	ch.Push("x", nil)
	ch.AssertCrashed()
	if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", badValue{}); n != 0 || err == nil {
		t.Errorf("broadcast: %d, %v", n, err)
	}
	room.Push("echo", nil).AssertReply("ok", nil)
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

var endCases = []conformanceCase{
	{"P67_crash", TestACrashEndsThatChannelOnly},
	{"P68_stop", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, ends chan error) {
			ch := c.Join("room:a", nil)
			ch.Push("stop", nil)
			ch.AssertClosed()
			if err := <-ends; !errors.Is(err, websocket.ErrStopped) {
				t.Error(err)
			}
			ch = c.Join("room:a", nil)
			ch.Push("stop_reply", nil).AssertReply("ok", map[string]int{"bye": 1})
			ch.AssertClosed()
		})
	}},
	{"P69_client_closes", TestReasonsOfTermination},
	{"P70_terminate_that_hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			a := &app{terminate: func(ctx context.Context, _ *websocket.Channel, _ error) {
				<-ctx.Done() // five seconds
				<-release
			}}
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": a}})
			p := f.connect("1")
			p.join(1, "room:a")
			begin := time.Now()
			p.join(2, "room:a") // waits for the old one, but only for the grace time
			if d := time.Since(begin); d != 5*time.Second {
				t.Errorf("after %v, want the grace time", d)
			}
			p.expect(`["1","1","room:a","phx_close",{}]`)
			close(release)
		})
	}},
	{"P71_forced_disconnect", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, a *channeltest.Client, ends chan error) {
			b := channeltest.Connect(t, f.endpoint, path+"?user=1")
			other := channeltest.Connect(t, f.endpoint, path+"?user=2")
			a.Join("room:a", nil)
			b.Join("room:b", nil)
			other.Join("room:a", nil)
			if n, err := f.endpoint.Broadcast(t.Context(), "users:1", "something else", nil); n != 0 || err != nil {
				t.Error(n, err)
			}
			if n, err := f.endpoint.Broadcast(t.Context(), "users:1", "disconnect", nil); n != 2 || err != nil {
				t.Error(n, err)
			}
			a.AssertClosed(1001)
			b.AssertClosed(1001)
			other.Heartbeat()
			for range 2 {
				if err := <-ends; !errors.Is(err, websocket.ErrDisconnected) {
					t.Error(err)
				}
			}
		})
	}},
	{"P72_heartbeat", func(t *testing.T) {
		f := start(t, setup{})
		p := f.connect("1")
		p.send(`[null,"7","phoenix","heartbeat",{}]`)
		p.expect(`[null,"7","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
		p.send(`[null,"8","phoenix","phx_join",{}]`)
		p.expect(`[null,"8","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
	}},
	{"P73_idle_timeout", TestIdleTimeoutCountsFromTheClientsBytes},
	{"P74_ping", func(t *testing.T) {
		f := start(t, setup{})
		c := f.raw()
		for _, payload := range []string{"", "hey", strings.Repeat("x", 125)} {
			c.frame(0x89, []byte(payload))
			if first, got, err := c.next(); first != 0x8a || string(got) != payload || err != nil {
				t.Errorf("%x %q %v", first, got, err)
			}
		}
	}},
	{"P75_drain_in_batches", TestShutdownInBatches},
	{"P76_snapshot", TestSlowClientIsNoticed},
	{"P78_P79_P84_P88_long_poll", TestLongPoll},
	{"P81_P82_long_poll_ends", TestLongPollEnds},
	{"P83_P86_P89_long_poll_requests", TestLongPollRefusals},
	{"P85_long_poll_over_any_node", TestLongPollOverAnyNode},
	{"V1", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": conversation(nil)}})
		c, _, err := f.dial("vsn=1.0.0", &client.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, ws: c}
		p.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`)
		p.expect(`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1","topic":"room:a"}`)
		p.send(`{"topic":"room:a","event":"all","payload":{"x":1},"ref":"2"}`)
		p.expect(`{"event":"told","payload":{"x":1},"ref":null,"topic":"room:a"}`)
		p.expect(`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"2","topic":"room:a"}`)
		if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "bin", websocket.Binary{1}); n != 0 || err != nil {
			t.Errorf("binary over V1: %d %v", n, err)
		}
		p.send(`{"topic":"room:a","event":"whatever","payload":{},"ref":"3"}`)
		p.expect(`{"event":"ending","payload":{},"ref":null,"topic":"room:a"}`)
		p.expect(`{"event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1","topic":"room:a"}`)
		p.send(`["1","1","room:a","phx_join",{}]`)
		if code := p.closed(); code != 1011 {
			t.Errorf("closed with %d", code)
		}
	}},
}
