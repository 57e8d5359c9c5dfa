package websocket_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func securityOrigin(t *testing.T) {
	listed := originList(t, "https://app.example.com", "https://[2001:db8::1]:8443")
	for _, policy := range []struct {
		name  string
		check websocket.OriginCheck
	}{{"same host by default", nil}, {"exact", websocket.ExactOrigin}, {"list", listed}} {
		m := websocket.MountConfig{Origin: policy.check}
		e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, m)
		try := func(what, target string, want int, origins ...string) {
			t.Helper()
			got, body := answer(e, ask("GET", target, func(r *http.Request) {
				for _, o := range origins {
					r.Header.Add("Origin", o)
				}
			}))
			if got != want || (got == 403 && body != "origin not allowed") {
				t.Errorf("%s, %s %q: %d %q, want %d", policy.name, what, origins, got, body, want)
			}
		}
		const at = "https://app.example.com/socket/websocket"
		try("own page", at, passes, "https://app.example.com")
		try("own page", at, passes, "https://app.example.com:443")
		try("upper case is the same host", at, passes, "HTTPS://APP.EXAMPLE.COM")
		for what, origin := range map[string]string{
			"null": "null", "foreign": "http://evil.com", "foreign over TLS": "https://evil.com",
			"own host as a prefix": "https://app.example.com.evil.com", "own host in a name": "https://evil-app.example.com", "no scheme": "evil-app.example.com",
			"other port": "https://app.example.com:8443", "http for https": "http://app.example.com", "http on the TLS port": "http://app.example.com:443",
			"userinfo": "https://app.example.com@evil", "userinfo of the own host": "https://evil@app.example.com",
			"IPv6": "https://[::1]", "IPv6 of another": "https://[2001:db8::2]:8443", "IPv6 with a zone": "https://[fe80::1%25lo]",
			"unicode": "https://\u0430pp.example.com", "punycode": "https://xn--pp-7kc.example.com",
			"full-width": "https://\uff41pp.example.com", "empty": "", "file": "file://", "space": " https://evil.com", "two in one": "https://app.example.com, https://evil.com",
			"not a URL": "https://app.example.com:port", "backslash": "https://evil.com\\@app.example.com",
		} {
			try(what, at, 403, origin)
		}
		// The root's dot changes nothing about a name; only a list takes it for the same.
		if policy.name == "list" {
			try("trailing dot", at, passes, "https://app.example.com.")
		}
		try("trailing dot of another", at, 403, "https://example.com.")
		try("two headers", at, 403, "https://app.example.com", "https://evil.com")
		try("two equal headers", at, 403, "https://app.example.com", "https://app.example.com")
		try("none", at, passes) // no cookie reaches Connect: only a token can authenticate
	}
	e := newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{}, websocket.MountConfig{Origin: listed})
	if got, _ := answer(e, ask("GET", "/socket/websocket", set("Origin", "https://[2001:db8::1]:8443"))); got != passes {
		t.Errorf("IPv6 in the list: %d", got)
	}

	// Where cookies count, no origin is as bad as a wrong one, unless a token has
	// come along that a foreign page cannot have.
	asked := 0
	e = newEndpoint(t, websocket.EndpointConfig{}, websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) {
		asked++
		return user{}, nil
	}}, websocket.MountConfig{AuthToken: true, Headers: []string{"cookie"}, Timeouts: websocket.Timeouts{Close: time.Millisecond}, LongPoll: &websocket.LongPollConfig{}})
	bearer := "phoenix, base64url.bearer.phx." + base64.RawStdEncoding.EncodeToString([]byte("token"))
	for _, row := range []struct {
		name   string
		change func(r *http.Request)
		want   int
	}{
		{"cookie alone", header("Cookie", "session=1"), 403},
		{"cookie and a token in the URL", func(r *http.Request) { r.URL.RawQuery = "token=x"; r.Header.Set("Cookie", "session=1") }, 403},
		{"cookie and origin", header("Cookie", "session=1", "Origin", "http://example.com"), passes},
		{"token", header("Sec-WebSocket-Protocol", bearer), passes},
		{"cookie from a foreign page", header("Cookie", "session=1", "Sec-Fetch-Site", "cross-site"), 403},
		{"cookie from a page of the same site", header("Cookie", "session=1", "Sec-Fetch-Site", "same-site"), 403},
	} {
		asked = 0
		if got, _ := answer(e, ask("GET", "/socket/websocket", row.change)); got != row.want || (asked > 0) != (row.want == passes) {
			t.Errorf("%s: %d, Connect asked %d times, want %d", row.name, got, asked, row.want)
		}
	}
	// A page's own GET has no Origin.
	poll := &poller{f: &fixture{t: t, endpoint: e}, query: "vsn=2.0.0"}
	if a, _ := poll.request("GET", "", "", set("Cookie", "session=1")); a.Status != 403 {
		t.Errorf("long poll without origin: %+v", a)
	}
	if a, _ := poll.request("GET", "", "", header("Cookie", "session=1", "Sec-Fetch-Site", "same-origin")); a.Status != 410 || a.Token == "" {
		t.Errorf("long poll of an own page: %+v", a)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func securityTokenInURL(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := start(t, setup{
		endpoint: websocket.EndpointConfig{Logger: log},
		mount:    websocket.MountConfig{AuthToken: true},
		socket: websocket.SocketConfig[user]{Connect: func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
			for _, values := range r.Header {
				if strings.Contains(strings.Join(values, ""), "c2VjcmV0") {
					t.Errorf("the token is among the headers: %v", r.Header)
				}
			}
			if r.AuthToken != "secret" { // the URL's does not count
				return user{}, errors.New("no token")
			}
			return user{ID: "1"}, nil
		}},
	})
	enc := func(token string) string {
		return "base64url.bearer.phx." + base64.RawStdEncoding.EncodeToString([]byte(token))
	}
	for _, row := range []struct {
		name, query string
		protocols   []string
		status      int
		chosen      string
	}{
		{"as Phoenix 1.8", "", []string{"phoenix", enc("secret")}, 101, "phoenix"},
		{"in the query", "token=secret", nil, 403, ""},
		{"in the query, by other names", "authToken=secret&access_token=secret&jwt=secret&user[password]=secret", nil, 403, ""},
		{"in two places", "token=secret", []string{"phoenix", enc("secret")}, 101, "phoenix"},
		{"another one in the query", "token=evil", []string{"phoenix", enc("secret")}, 101, "phoenix"},
		{"twice", "", []string{"phoenix", enc("secret"), enc("evil")}, 403, ""},
		{"twice, the other way round", "", []string{enc("evil"), "phoenix", enc("secret")}, 403, ""},
		{"without a real subprotocol", "", []string{enc("secret")}, 101, ""},
		{"of 64 KiB", "", []string{"phoenix", enc(strings.Repeat("secret", 64<<10/6))}, 403, ""},
		{"of 64 KiB in the query", "token=" + strings.Repeat("secret", 64<<10/6), nil, 403, ""},
		{"of garbage", "", []string{"phoenix", "base64url.bearer.phx.%%%"}, 403, ""},
		{"none", "", nil, 403, ""},
		{"none, but the subprotocol", "", []string{"phoenix"}, 403, ""},
	} {
		c, resp, _ := f.dial("vsn=2.0.0&"+row.query, &client.DialOptions{Subprotocols: row.protocols})
		if resp == nil || resp.StatusCode != row.status {
			t.Errorf("%s: %v, want %d", row.name, resp, row.status)
			continue
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != row.chosen || strings.Contains(got, "bearer") {
			t.Errorf("%s: subprotocol %q", row.name, got)
		}
		if c != nil {
			_ = c.CloseNow()
		}
	}
	if err := f.endpoint.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"secret", "evil", "c2VjcmV0", "ZXZpbA", url.QueryEscape("secret")} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q was logged:\n%.2000s", secret, out.String())
		}
	}
}
