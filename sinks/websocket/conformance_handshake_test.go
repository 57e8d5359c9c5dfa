package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

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
