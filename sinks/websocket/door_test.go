package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestOriginEntries pins that an entry does what its writer expects, or is refused
// with the reason.
func TestOriginEntries(t *testing.T) {
	for _, row := range []struct {
		entry, origin string
		want          bool
	}{
		{"https://example.com/", "https://example.com", true},
		{"https://example.com:443", "https://example.com", true},
		{"https://example.com", "https://example.com:443", true},
		{"http://localhost:3000", "http://localhost:3000", true},
		{"localhost:3000", "http://localhost:3000", true},
		{"http://[::1]:4000", "http://[::1]:4000", true},
		{"//[::1]", "http://[::1]:4000", true},
		{"http://[0:0:0:0:0:0:0:1]:4000", "http://[::1]:4000", true},
		{"http://[::1]:4000", "http://[::2]:4000", false},
		{"https://xn--bcher-kva.example", "https://xn--bcher-kva.example", true},
		{"*", "https://anything.example", true},
		{"*", "https://anything.example:99", true},
		{"*", "null", false},
		{"https://*", "https://anything.example", true},
		{"https://*", "https://anything.example:8443", false},
		{"https://*:*", "https://anything.example:8443", true},
		{"https://*", "http://anything.example", false},
		{" https://example.com\n", "https://example.com", true},
		{"https://EXAMPLE.com", "https://example.com", true},
		{"wss://example.com", "https://example.com", true},
		{"capacitor://localhost", "capacitor://localhost", true},
		{"chrome-extension://abcdef", "chrome-extension://abcdef", true},
		{"//example.com", "https://example.com.", true},
		{"https://example.com.", "https://example.com", true},
		{"https://example.com:*", "https://example.com:8443", true},
		{"https://example.com:*", "http://example.com", false},
		{"//*.example.com", "https://a.example.com", true},
		{"//*.example.com", "https://prefix-example.com", false},
		{"https://example.com", "http://example.com", false},
		{"https://example.com", "https://example.com.evil.com", false},
	} {
		e := newEndpoint(t, websocket.EndpointConfig{Origins: []string{row.entry}}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
		got, _ := answer(e, ask("GET", "http://other.example/socket/websocket", set("Origin", row.origin)))
		if (got == passes) != row.want {
			t.Errorf("entry %q, origin %q: %d", row.entry, row.origin, got)
		}
	}
	for entry, why := range map[string]string{
		"": "an entry with a host", "https://": "", "//": "", "/": "", "null": "null", "https://bücher.example": "xn--", "//*.bücher.example": "xn--",
		"https://example.com/app": "without path", "https://user@example.com": "user", "https://example.com:0": "port", "https://example.com:99999": "port",
		"https://example.com:http": "port", "https://example.com:": "port", "file://": "null", "https:example.com": "", "ht tp://example.com": "scheme",
		"https://app-*.example.com": `"*."`, "https://*example.com": `"*."`, "https://.example.com": "*.example.com", "https://a..b": "empty parts",
		"https://127.1": "four decimal", "https://0x7f.1": "four decimal", "https://[::1": "IPv6", "https://[fe80::1%25lo]": "IPv6", "//*.127.0.0.1": "address",
		"https://exam ple.com": "spaces", "https://a.com,https://b.com": "", "https://example.com?x": "path", "https//example.com": "://", "http://[::1]x": "IPv6",
	} {
		_, err := websocket.Origins(entry)
		var refused *websocket.OptionError
		if !errors.As(err, &refused) || !strings.Contains(refused.Allowed, why) {
			t.Errorf("%q: %v", entry, err)
		}
		if _, err := websocket.NewEndpoint(websocket.EndpointConfig{Origins: []string{"//ok", entry}}); !errors.As(err, &refused) || refused.Option != "Origins" {
			t.Errorf("endpoint, %q: %v", entry, err)
		}
	}
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var refused *websocket.OptionError
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	for _, cfg := range []websocket.MountConfig{{Origins: []string{"null"}}, {Origins: []string{"//a"}, Origin: websocket.AnyOrigin}} {
		if err := e.Mount("/x", s, cfg); !errors.As(err, &refused) {
			t.Errorf("mount: %v", err)
		}
	}
}

func FuzzOrigins(f *testing.F) {
	f.Add("https://*.example.com:*", "https://a.example.com")
	f.Add("//[::1]:0", "http://[::1]")
	f.Fuzz(func(t *testing.T, entry, origin string) {
		_, err := websocket.Origins(entry)
		var refused *websocket.OptionError
		if err != nil && !errors.As(err, &refused) {
			t.Error(err)
		}
		_, _ = websocket.CheckHost(http.NotFoundHandler(), entry)
	})
}

// TestPublicURL pins that the default check and Connect follow the URL that
// clients use, whatever a proxy makes of it.
func TestPublicURL(t *testing.T) {
	url := ""
	e := newEndpoint(t, websocket.EndpointConfig{PublicURL: "https://app.example.com"}, websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		url = r.URL.String()
		return user{}, nil
	}}, websocket.MountConfig{})
	for origin, want := range map[string]int{"https://app.example.com": passes, "http://app.example.com": 403, "http://backend:4000": 403, "https://app.example.com:8443": 403} {
		if got, _ := answer(e, ask("GET", "http://backend:4000/socket/websocket?vsn=2.0.0", set("Origin", origin))); got != want {
			t.Errorf("%s: %d", origin, got)
		}
	}
	if url != "https://app.example.com/socket/websocket?vsn=2.0.0" {
		t.Errorf("Connect saw %s", url)
	}
	for _, bad := range []string{"app.example.com", "https://app.example.com/x", "https://*.example.com", "ftp://a", "https://", "https://u@a", "https://bü", "://"} {
		var refused *websocket.OptionError
		if _, err := websocket.NewEndpoint(websocket.EndpointConfig{PublicURL: bad}); !errors.As(err, &refused) || refused.Option != "PublicURL" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestHosts pins that a name which an attacker has made resolve to the server gets
// nothing.
func TestHosts(t *testing.T) {
	c := &counts{values: map[string]float64{}}
	hosts := []string{"app.example.com", "*.app.example.com", "localhost:4000", "127.0.0.1", "[::1]"}
	e := newEndpoint(t, websocket.EndpointConfig{Hosts: hosts, Metrics: c, Origin: websocket.AnyOrigin}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	for host, want := range map[string]int{
		"app.example.com": passes, "APP.example.com.:4000": passes, "a.app.example.com": passes, "localhost:4000": passes, "127.0.0.1:99": passes, "[::1]:4000": passes,
		"localhost": 421, "evil.com": 421, "app.example.com.evil.com": 421, "127.0.0.2": 421, "[::2]": 421, "": 421,
	} {
		got, _ := answer(e, ask("GET", "/socket/websocket", func(r *http.Request) { r.Host = host }))
		if got != want {
			t.Errorf("%q: %d, want %d", host, got, want)
		}
	}
	if got := c.get("websocket.refused,reason:host"); got != 6 {
		t.Errorf("%v were counted", got)
	}
	for _, bad := range []string{"", "*", "https://a", "a/b", "bü.example", "a:0"} {
		var refused *websocket.OptionError
		if _, err := websocket.NewEndpoint(websocket.EndpointConfig{Hosts: []string{bad}}); !errors.As(err, &refused) || refused.Option != "Hosts" {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := websocket.CheckHost(http.NotFoundHandler(), bad); !errors.As(err, &refused) {
			t.Errorf("CheckHost %q: %v", bad, err)
		}
	}
	if _, err := websocket.CheckHost(http.NotFoundHandler()); err == nil {
		t.Error("no hosts")
	}
	if _, err := websocket.CheckHost(nil, "a"); err == nil {
		t.Error("no handler")
	}
}

// TestUnixProxy pins that clients behind a proxy on a unix socket have addresses
// of their own, and that it is logged when they have none.
func TestUnixProxy(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		var out strings.Builder
		cfg := websocket.EndpointConfig{Limits: websocket.EndpointLimits{ConnectRate: 2}, Logger: slog.New(slog.NewTextHandler(&out, nil))}
		if trusted {
			address, err := websocket.ForwardedFor(websocket.Proxies{Unix: true})
			if err != nil {
				t.Fatal(err)
			}
			cfg.ClientAddress = address
		}
		e := newEndpoint(t, cfg, websocket.SocketConfig[user]{}, websocket.MountConfig{})
		passed := 0
		for n := range 5 {
			r := ask("GET", "/socket/websocket", set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d:4711", n)))
			r.RemoteAddr = "@"
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix", Name: "/run/s"})))
			if got, _ := answer(e, r); got == passes {
				passed++
			}
		}
		if lines := strings.Count(out.String(), "count as one"); trusted && (passed != 5 || lines != 0) || !trusted && (passed != 2 || lines != 1) {
			t.Errorf("trusted %v: %d passed, %d warnings: %s", trusted, passed, lines, out.String())
		}
	}
	for _, bad := range []websocket.Proxies{{}, {Networks: []netip.Prefix{{}}}, {Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}} {
		var refused *websocket.OptionError
		if _, err := websocket.ForwardedFor(bad); !errors.As(err, &refused) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestIgnoredProxyIsLogged pins that a proxy whose header nothing reads does not
// make one client of all in silence.
func TestIgnoredProxyIsLogged(t *testing.T) {
	var out strings.Builder
	e := newEndpoint(t, websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerAddress: 2}, Logger: slog.New(slog.NewTextHandler(&out, nil))}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	for range 3 {
		answer(e, ask("GET", "/socket/websocket", set("X-Forwarded-For", "203.0.113.1")))
	}
	if n := strings.Count(out.String(), "count as one"); n != 1 {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

func TestPathVariables(t *testing.T) {
	tenant := ""
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		tenant = r.Params.Get("tenant")
		return user{}, nil
	}})
	if err := e.Mount("/socket/:tenant", s, websocket.MountConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := e.Mount("/a b/é", s, websocket.MountConfig{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/socket/acme/websocket": "acme", "/socket/caf%C3%A9/websocket": "café", "/socket/a%2Fb/websocket": "a/b", "/socket/a%20b/websocket": "a b",
		"/socket/acme/websocket/": "acme", "/socket/a+b/websocket": "a+b", "/socket/acme/%77ebsocket": "acme",
		"/socket//websocket": "404", "/socket/%ff/websocket": "404", "/socket/a/b/websocket": "404", "/a%20b/%C3%A9/websocket": "",
	} {
		tenant = ""
		got, _ := answer(e, ask("GET", path+"?tenant=evil", nil))
		if got == 404 {
			tenant = "404"
		}
		if tenant != want && !(want == "" && tenant == "evil") {
			t.Errorf("%s: %d %q, want %q", path, got, tenant, want)
		}
	}
	long := &websocket.LongPollConfig{Suffix: "/websocket"}
	for path, cfg := range map[string]websocket.MountConfig{
		"/socket/lobby": {}, "/socket/:other": {}, "/x/:/y": {}, "/:a/:a": {}, "/a%20b": {}, "/a//b": {}, "/a?b": {}, "/x": {LongPoll: long}, "/y": {Suffix: "/%41"},
	} {
		var refused *websocket.OptionError
		if err := e.Mount(path, s, cfg); !errors.As(err, &refused) {
			t.Errorf("mount at %s: %v", path, err)
		}
	}
}

func TestTooManyParameters(t *testing.T) {
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{})
	for n, want := range map[int]int{256: passes, 257: 400} {
		if got, _ := answer(e, ask("GET", "/socket/websocket?"+strings.Repeat("a=1&", n-1)+"b=2", nil)); got != want {
			t.Errorf("%d parameters: %d", n, got)
		}
	}
}

// TestRefusalsAreLogged pins that each reason is counted, and has a line with a
// sample, at most one a second.
func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := &counts{values: map[string]float64{}}
		e := newEndpoint(t, websocket.EndpointConfig{Metrics: c, Limits: websocket.EndpointLimits{ConnectRate: 1000}, Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))},
			websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
				return user{}, errors.New("bad token")
			}}, websocket.MountConfig{LongPoll: &websocket.LongPollConfig{}})
		evil := "http://evil.com/\n" + strings.Repeat("x", 1000)
		for range 2 {
			for range 100 {
				answer(e, ask("GET", "/socket/websocket", set("Origin", evil)))
				answer(e, ask("GET", "/socket/websocket?vsn=9.9.9", nil))
				answer(e, ask("GET", "/socket/websocket", nil))
				answer(e, ask("POST", "/socket/websocket", nil))
				answer(e, ask("PUT", "/socket/longpoll", nil))
			}
			pass(2 * time.Second)
		}
		for reason, want := range map[string]float64{"origin": 200, "version": 200, "connect": 200, "method": 400} {
			if got := c.get("websocket.refused,reason:" + reason); got != want {
				t.Errorf("%s: counted %v, want %v", reason, got, want)
			}
			if n := strings.Count(out.String(), "reason="+reason+" "); n != 2 {
				t.Errorf("%s: %d lines, want 2: %s", reason, n, out.String())
			}
		}
		for _, want := range []string{"http://evil.com/", "9.9.9", "bad token", "left_out=99"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in the log: %.2000s", want, out.String())
			}
		}
		if strings.Contains(out.String(), strings.Repeat("x", 200)) || strings.Count(out.String(), "\n") != 8 {
			t.Errorf("neither cut nor escaped: %.3000s", out.String())
		}
	})
}
