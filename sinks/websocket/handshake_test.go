package websocket_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// ask makes an upgrade request without upgrading anything.
func ask(method, target string, change func(r *http.Request)) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if change != nil {
		change(r)
	}
	return r
}

// answer is what an endpoint says to a request that it does not upgrade: a
// recorder cannot be taken over, so that 500 means that all checks passed.
func answer(e *websocket.Endpoint, r *http.Request) (status int, body string) { return answerOf(e, r) }

func answerOf(h http.Handler, r *http.Request) (status int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const passes = http.StatusInternalServerError

func header(pairs ...string) func(r *http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				r.Header.Del(pairs[i])
			} else {
				r.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
}

func set(name, value string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func newEndpoint(t *testing.T, c websocket.EndpointConfig, s websocket.SocketConfig[user], m websocket.MountConfig) *websocket.Endpoint {
	t.Helper()
	e, err := websocket.NewEndpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Mount("/socket", websocket.NewSocket(s), m); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestHandshakeChecksInOrder(t *testing.T) {
	connects := 0
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		connects++
		switch r.Params.Get("do") {
		case "refuse":
			return user{}, websocket.ErrRefused
		case "limit":
			return user{}, fmt.Errorf("too many: %w", &websocket.StatusError{Status: 429, Body: "slow down"})
		case "nonsense":
			return user{}, &websocket.StatusError{Status: 200}
		case "panic":
			panic("connect")
		}
		return user{}, nil
	}}, websocket.MountConfig{AuthToken: true})
	tests := []struct {
		name   string
		method string
		target string
		change func(r *http.Request)
		status int
		body   string
		asked  bool // whether Connect was
	}{
		{"P1 no upgrade headers", "GET", "/socket/websocket?vsn=2.0.0", header("Connection", ""), 400, "'connection' header must contain 'upgrade'", true},
		{"P1 refusal comes before", "GET", "/socket/websocket?do=refuse", header("Connection", ""), 403, "refused", true},
		{"P2 other method", "POST", "/socket/websocket", nil, 400, "not a GET request without a body", false},
		{"P3 foreign origin", "GET", "/socket/websocket", set("Origin", "http://evil.com"), 403, "origin not allowed", false},
		{"P14 other subprotocol", "GET", "/socket/websocket", set("Sec-WebSocket-Protocol", "chat"), 403, "no common subprotocol", false},
		{"P15 refused", "GET", "/socket/websocket?do=refuse", nil, 403, "refused", true},
		{"P15 with a status", "GET", "/socket/websocket?do=limit", nil, 429, "slow down", true},
		{"a status that is none", "GET", "/socket/websocket?do=nonsense", nil, 403, "refused", true},
		{"a panic", "GET", "/socket/websocket?do=panic", nil, 403, "refused", true},
		{"P16 version", "GET", "/socket/websocket?vsn=123.1.1", nil, 403, "protocol version not supported", false},
		{"P16 no version", "GET", "/socket/websocket", nil, passes, "", true},
		{"other path", "GET", "/socket/nothing", nil, 404, "not found\n", false},
		{"longer path", "GET", "/socket/websocket/x", nil, 404, "not found\n", false},
		{"shorter path", "GET", "/socket", nil, 404, "not found\n", false},
		{"no upgrade", "GET", "/socket/websocket", set("Upgrade", "h2c"), 400, "'upgrade' header must contain 'websocket'", true},
		{"no key", "GET", "/socket/websocket", header("Sec-WebSocket-Key", ""), 400, "'sec-websocket-key' header is absent or malformed", true},
		{"short key", "GET", "/socket/websocket", set("Sec-WebSocket-Key", "c2hvcnQ="), 400, "'sec-websocket-key' header is absent or malformed", true},
		{"two keys", "GET", "/socket/websocket", header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), 400, "'sec-websocket-key' header is absent or malformed", true},
		{"version 8", "GET", "/socket/websocket", set("Sec-WebSocket-Version", "8"), 400, "'sec-websocket-version' header must equal '13'", true},
		{"no host", "GET", "/socket/websocket", func(r *http.Request) { r.Host = "" }, 400, "'host' header is absent", true},
		{"HTTP/1.0", "GET", "/socket/websocket", func(r *http.Request) { r.ProtoMinor = 0 }, 400, "HTTP version is not 1.1", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			connects = 0
			status, body := answer(e, ask(test.method, test.target, test.change))
			if status != test.status || (body != test.body && status != passes) {
				t.Errorf("%d %q, want %d %q", status, body, test.status, test.body)
			}
			if (connects > 0) != test.asked {
				t.Errorf("Connect was called %d times", connects)
			}
		})
	}
}

// originList is a check of listed origins.
func originList(t *testing.T, entries ...string) websocket.OriginCheck {
	t.Helper()
	check, err := websocket.Origins(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

func TestOrigins(t *testing.T) {
	list := func(entries ...string) websocket.OriginCheck { return originList(t, entries...) }
	type row struct {
		origin string
		ok     bool
	}
	tests := []struct {
		name  string
		check websocket.OriginCheck // the request's host is app.example.com
		rows  []row
	}{
		{"S1 same host by default", nil, []row{
			{"", true}, {"http://app.example.com", true}, {"http://APP.example.com", true}, {"http://app.example.com:80", true}, {"https://app.example.com", true},
			{"http://app.example.com:8080", false}, {"null", false}, {"http://evil.com", false}, {"https://app.example.com.evil.com", false},
			{"http://evil-app.example.com", false}, {"http://app.example.com@evil.com", false}, {"http://evil.com@app.example.com", false},
			{"http://app.example.com.", false}, {"http://[::1]", false}, {"http://\u0430pp.example.com", false}, {"http://xn--pp-7lc.example.com", false},
			{"file://", false}, {"://", false}, {"http://", false},
		}},
		{"P4 one host", list("example.com"), []row{{"https://example.com:99", true}, {"http://example.com", true}, {"http://a.example.com", false}, {"null", false}}},
		{"P4 any host", list("*"), []row{{"https://x.y", true}, {"null", false}}},
		{"P6 any scheme and port", list("//ex.com"), []row{{"https://ex.com:99", true}, {"ws://ex.com", true}, {"http://ey.com", false}}},
		{"P6 scheme", list("http://ex.com"), []row{{"http://ex.com", true}, {"http://ex.com:80", true}, {"https://ex.com", false}, {"http://ex.com:81", false}}},
		{"P6 port", list("//ex.com:81"), []row{{"http://ex.com:81", true}, {"http://ex.com", false}}},
		{"P7 wildcard", list("//*.ex.com"), []row{{"http://ex.com", true}, {"http://a.ex.com", true}, {"http://a.b.ex.com", true}, {"http://a.prefix-ex.com", false}}},
		{"P7 nested", list("//*.foo.ex.com"), []row{{"http://a.foo.ex.com", true}, {"http://foo.ex.com", true}, {"http://a.ex.com", false}}},
		{"P7 none", list("//ex.com"), []row{{"http://a.ex.com", false}}},
		{"P9 exact", websocket.ExactOrigin, []row{{"http://app.example.com", true}, {"ws://app.example.com", true}, {"https://app.example.com", false},
			{"wss://app.example.com", false}, {"http://www.app.example.com", false}, {"http://app.example.com:81", false}}},
		{"P10 callback", func(r *http.Request, o *url.URL) bool { return o.Host == "a" && r.Host == "app.example.com" }, []row{{"http://a", true}, {"http://b", false}, {"null", false}}},
		{"P3 any", websocket.AnyOrigin, []row{{"http://evil.com", true}, {"null", true}, {"", true}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{Origin: test.check})
			for _, row := range test.rows {
				status, _ := answer(e, ask("GET", "http://app.example.com/socket/websocket", func(r *http.Request) {
					r.TLS = nil
					if row.origin != "" {
						r.Header.Set("Origin", row.origin)
					}
				}))
				// A request without TLS may have come through a proxy that ended
				// it: then the default cannot know the scheme.
				if want := map[bool]int{true: passes, false: 403}[row.ok]; status != want {
					t.Errorf("%q: %d, want %d", row.origin, status, want)
				}
			}
			two := ask("GET", "http://app.example.com/socket/websocket", header("Origin", "http://app.example.com", "Origin", "http://evil.com"))
			if status, _ := answer(e, two); status != 403 {
				t.Errorf("two origins: %d", status)
			}
		})
	}
}

func TestOriginsOverTLS(t *testing.T) { // S1
	for check, rows := range map[string]map[string]int{
		"same":  {"https://example.com": passes, "wss://example.com:443": passes, "http://example.com": 403, "http://example.com:443": 403, "https://example.com:444": 403},
		"exact": {"https://example.com": passes, "http://example.com": 403},
	} {
		e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{
			Origin: map[string]websocket.OriginCheck{"same": websocket.SameOrigin, "exact": websocket.ExactOrigin}[check]})
		for origin, want := range rows {
			if got, _ := answer(e, ask("GET", "https://example.com/socket/websocket", set("Origin", origin))); got != want {
				t.Errorf("%s %s: %d, want %d", check, origin, got, want)
			}
		}
	}
}

func TestTwoMountsHaveTwoPolicies(t *testing.T) { // P5, P11
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{Origins: []string{"//a.com"}})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	for path, origin := range map[string]websocket.OriginCheck{"/one": nil, "/two": originList(t, "//b.com")} {
		if err := e.Mount(path, s, websocket.MountConfig{Origin: origin}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		path, origin string
		want         int
	}{{"/one", "a", passes}, {"/one", "b", 403}, {"/two", "b", passes}, {"/two", "a", 403}} {
		if got, _ := answer(e, ask("GET", row.path+"/websocket", set("Origin", "http://"+row.origin+".com"))); got != row.want {
			t.Errorf("%v: %d", row, got)
		}
	}
}

func TestConnectRequest(t *testing.T) { // P17 to P22, P25, P26
	var seen websocket.ConnectRequest
	var deadline bool
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{Connect: func(ctx context.Context, r *websocket.ConnectRequest) (user, error) {
		seen = *r
		_, deadline = ctx.Deadline()
		return user{}, nil
	}})
	if err := e.Mount("/a/:room/socket", s, websocket.MountConfig{AuthToken: true, Suffix: "/:how/ws", Headers: []string{"cookie"}}); err != nil {
		t.Fatal(err)
	}
	enc := base64.StdEncoding.EncodeToString([]byte("s?cret~~")) // has + or / and padding
	r := ask("GET", "http://app.test:81/a/blue/socket/fast/ws?x=1&x=2&room=red&u[name]=Ann&u[tags][]=a&u[tags][]=b&bad=%zz&vsn=2.0.0", header(
		"X-Request-Id", "7", "Traceparent", "tp", "Tracestate", "ts", "Cookie", "c=1", "Authorization", "Bearer x", "User-Agent", "ua",
		"Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx."+strings.TrimRight(enc, "=")))
	if status, body := answer(e, r); status != passes {
		t.Fatal(status, body)
	}
	if got := fmt.Sprint(seen.Params); got != "map[room:blue how:fast u:map[name:Ann tags:[a b]] vsn:2.0.0 x:2]" && seen.Params.Get("room") != "blue" {
		t.Errorf("params %v", got)
	}
	u, _ := seen.Params["u"].(websocket.Params)
	if seen.Params.Get("x") != "2" || seen.Params.Get("how") != "fast" || u.Get("name") != "Ann" || fmt.Sprint(u["tags"]) != "[a b]" || seen.Params.Get("u") != "" {
		t.Errorf("params %v", seen.Params)
	}
	if seen.AuthToken != "s?cret~~" {
		t.Errorf("token %q", seen.AuthToken)
	}
	if seen.URL.Scheme != "http" || seen.URL.Host != "app.test:81" || seen.URL.Path != "/a/blue/socket/fast/ws" || seen.UserAgent != "ua" || seen.RemoteAddr == "" || !deadline {
		t.Errorf("%+v %v", seen, seen.URL)
	}
	for name, want := range map[string]string{"X-Request-Id": "7", "Traceparent": "tp", "Tracestate": "ts", "Cookie": "c=1",
		"Sec-WebSocket-Version": "13", "Authorization": "", "Sec-WebSocket-Protocol": ""} {
		if got := seen.Header.Get(name); got != want {
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
}

func TestSubprotocols(t *testing.T) { // P14, P26
	bearer := "base64url.bearer.phx.YWJj"
	for _, test := range []struct {
		name, asked, chosen string
		config              websocket.MountConfig
		token               string
		refused             bool
	}{
		{"none asked", "", "", websocket.MountConfig{Subprotocols: []string{"sip"}}, "", false},
		{"first common", "mqtt, sip", "sip", websocket.MountConfig{Subprotocols: []string{"sip", "mqtt"}}, "", false},
		{"other", "mqtt", "", websocket.MountConfig{Subprotocols: []string{"sip"}}, "", true},
		{"not looked at", "mqtt", "", websocket.MountConfig{}, "", false},
		{"token", "phoenix, " + bearer, "phoenix", websocket.MountConfig{AuthToken: true}, "abc", false},
		{"only the token", bearer, "", websocket.MountConfig{AuthToken: true}, "abc", false},
		{"token of garbage", "phoenix, base64url.bearer.phx.!!", "phoenix", websocket.MountConfig{AuthToken: true}, "", false},
		{"oversized token", "phoenix, base64url.bearer.phx." + strings.Repeat("QUFB", 16<<10), "phoenix", websocket.MountConfig{AuthToken: true}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := "not asked"
			f := start(t, setup{mount: test.config, socket: websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
				token = r.AuthToken
				return user{}, nil
			}}})
			o := &client.DialOptions{}
			if test.asked != "" {
				o.Subprotocols = strings.Split(test.asked, ", ")
			}
			c, resp, err := f.dial("vsn=2.0.0", o)
			if test.refused {
				if err == nil || resp.StatusCode != 403 {
					t.Fatalf("%v %v", resp, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Subprotocol() != test.chosen || token != test.token {
				t.Errorf("subprotocol %q, token %q", c.Subprotocol(), token)
			}
		})
	}
}

func TestSecretsAreNotLogged(t *testing.T) { // P27, S2, S8
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e := newEndpoint(t, websocket.EndpointConfig{Logger: log}, websocket.SocketConfig[user]{}, websocket.MountConfig{AuthToken: true})
	long := strings.Repeat("x", 1000)
	answer(e, ask("GET", "/socket/websocket?vsn=2.0.0&token=hush&a[password]=hush&b[my_secret][]=hush&shown=yes&line=a%0Alevel%3DERROR&long="+long,
		set("Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx.aHVzaA")))
	answer(e, ask("GET", "/socket/websocket?vsn=%0Afake", nil))
	text := out.String()
	if strings.Contains(text, "hush") || strings.Contains(text, "aHVzaA") || strings.Contains(text, "\nlevel=ERROR") || strings.Contains(text, "\nfake") || strings.Contains(text, long[:200]) {
		t.Errorf("logged: %s", text)
	}
	if !strings.Contains(text, "shown=yes") || !strings.Contains(text, "version=2.0.0") || !strings.Contains(text, "FILTERED") {
		t.Errorf("not logged: %s", text)
	}
}

func TestConnectHasADeadline(t *testing.T) {
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{Connect: func(ctx context.Context, _ *websocket.ConnectRequest) (user, error) {
		<-ctx.Done()
		return user{}, ctx.Err()
	}}, websocket.MountConfig{Timeouts: websocket.Timeouts{Connect: time.Millisecond}})
	if status, _ := answer(e, ask("GET", "/socket/websocket", nil)); status != 403 {
		t.Errorf("status %d", status)
	}
}

func TestMaxConnections(t *testing.T) { // S14
	f := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{Connections: 2}}})
	a, _ := f.connect("1"), f.connect("2")
	_, resp, err := f.dial("vsn=2.0.0", nil)
	if err == nil || resp == nil || resp.StatusCode != 503 {
		t.Fatalf("%v %v", resp, err)
	}
	if n := f.metrics.get("websocket.connections"); n != 2 {
		t.Errorf("websocket.connections %v", n)
	}
	_ = a.ws.CloseNow()
	eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 1 })
	f.connect("3")
	if ok, bad := f.metrics.get("socket_connect,status:success,socket:Test"), f.metrics.get("socket_connect,status:error,socket:Test"); ok != 3 || bad != 1 {
		t.Errorf("socket_connect %v %v", ok, bad)
	}
}

func TestMaxPerAddress(t *testing.T) { // S14
	addr := make(chan string, 1)
	f := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerAddress: 1}, ClientAddress: func(*http.Request) netip.Addr {
		return netip.MustParseAddr(<-addr)
	}}})
	try := func(from string, want int) *client.Conn {
		t.Helper()
		addr <- from
		c, resp, err := f.dial("vsn=2.0.0", nil)
		if resp == nil || resp.StatusCode != want {
			t.Fatalf("%s: %v %v, want %d", from, resp, err, want)
		}
		return c
	}
	first := try("10.0.0.1", 101)
	try("10.0.0.2", 101)
	try("10.0.0.1", 503)
	try("::ffff:10.0.0.1", 503)
	try("2001:db8::1", 101)
	try("2001:db8::2", 503) // the same /64
	try("2001:db8:0:1::1", 101)
	_ = first.CloseNow()
	eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 3 })
	try("10.0.0.1", 101)

	g := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerAddress: 1}}})
	g.connect("1")
	if _, resp, err := g.dial("vsn=2.0.0", nil); err == nil || resp == nil || resp.StatusCode != 503 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestErrorsAreReadable(t *testing.T) {
	for _, err := range []error{&websocket.StatusError{Status: 429}, websocket.Refuse("x"), websocket.RefuseWith(1), &websocket.CrashError{Err: io.EOF}} {
		if !strings.HasPrefix(err.Error(), "websocket: ") {
			t.Errorf("%v", err)
		}
	}
	if !errors.Is(&websocket.CrashError{Err: io.EOF}, io.EOF) {
		t.Error("a crash hides its cause")
	}
}
