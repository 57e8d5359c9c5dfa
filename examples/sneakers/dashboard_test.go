package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// idle makes a node in virtual time. It neither listens nor runs: connections are given to
// its endpoint.
func idle(t *testing.T, args ...string) *app {
	t.Helper()
	cfg, err := parseConfig(append([]string{"-addr", "127.0.0.1:0"}, args...), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

// bearer is the header with which a page of the shop connects.
func bearer(tok string) []string {
	return []string{"Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx." + base64.RawURLEncoding.EncodeToString([]byte(tok))}
}

// TestAnAdminsPageOutlivesItsToken: a page that is left open for a day connects again with
// the last token that it got, and the one that it was loaded with has expired.
func TestAnAdminsPageOutlivesItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		first, err := a.adminToken()
		if err != nil {
			t.Fatal(err)
		}
		page := channeltest.Connect(t, a.endpoint, "/admin_socket/websocket", bearer(first.Token)...)
		ch := page.Join(trackerTopic, nil)
		// Its script sends heartbeats.
		for begun := time.Now(); time.Since(begun) < 24*time.Hour+30*time.Minute; time.Sleep(30 * time.Second) {
			page.Heartbeat()
		}
		tokens := ch.Received("token")
		if len(tokens) < 70 {
			t.Fatal(len(tokens), "tokens in a day")
		}
		var last adminToken
		if err := json.Unmarshal(tokens[len(tokens)-1], &last); err != nil {
			t.Fatal(err)
		}
		page.Close()
		channeltest.Connect(t, a.endpoint, "/admin_socket/websocket", bearer(last.Token)...).Join(trackerTopic, nil)
		if status, _ := channeltest.Refused(t, a.endpoint, "/admin_socket/websocket", bearer(first.Token)...); status != http.StatusForbidden {
			t.Error(status)
		}
	})
}
