package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

func TestTheNewestConnectionWins(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		reasons := make(chan error, 10)
		f := begin(setup{
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerID: 2, AtPerID: websocket.CloseOldest}},
			socket:   websocket.SocketConfig[user]{ID: usersID},
			mount:    websocket.MountConfig{Timeouts: websocket.Timeouts{Write: time.Minute}}, // not all read at once
			channels: one("room:*", &app{terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason }}),
		})
		var peers []*peer
		for range 4 {
			p := f.connect("1")
			p.join(1, "room:a")
			peers = append(peers, p)
			// Only the two newest are joined.
			if n := f.broadcast("room:a", 0, 1); n != min(len(peers), 2) {
				t.Errorf("%d receivers after %d connections", n, len(peers))
			}
		}
		f.connect("2").join(1, "room:a")
		for i, p := range peers[:2] {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			var err error
			for err == nil {
				_, _, err = p.ws.Read(ctx)
			}
			cancel()
			var closed client.CloseError
			if !errors.As(err, &closed) || closed.Code != 4409 || closed.Reason != "replaced by a newer connection" {
				t.Errorf("connection %d: %v", i, err)
			}
			if reason := <-reasons; !errors.Is(reason, websocket.ErrReplaced) {
				t.Errorf("terminated with %v", reason)
			}
		}
		pass(5 * time.Second)
		if n := f.endpoint.Snapshot().Connections; n != 3 {
			t.Errorf("%d connections", n)
		}
		// One that leaves makes room: nothing is replaced.
		_ = peers[3].ws.Close(1000, "")
		pass(time.Second)
		f.connect("1").join(1, "room:a")
		if n := f.broadcast("room:a", 0, 1); n != 3 {
			t.Errorf("%d receivers", n)
		}
	})
}

// TestReplacedConnectionsAreCounted, and logged once a second.
func TestReplacedConnectionsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		var log bytes.Buffer
		f := begin(setup{
			endpoint: websocket.EndpointConfig{
				Limits: websocket.EndpointLimits{PerID: 1, AtPerID: websocket.CloseOldest},
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			},
			socket: websocket.SocketConfig[user]{ID: usersID},
		})
		for range 10 {
			f.connect("1")
		}
		pass(time.Second)
		f.connect("1")
		synctest.Wait()
		if n := f.metrics.get("websocket.replaced"); n != 10 {
			t.Errorf("%v counted", n)
		}
		if got := log.String(); strings.Count(got, `level=INFO msg="connection replaced"`) != 2 || !strings.Contains(got, "left_out=8") {
			t.Errorf("log: %s", got)
		}
	})
}

// TestARefusalForLoadSaysWhyAndWhenToComeBack, not all at the same time.
func TestARefusalForLoadSaysWhyAndWhenToComeBack(t *testing.T) {
	f := start(t, setup{endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{PerID: 1}}, socket: websocket.SocketConfig[user]{ID: usersID}})
	f.connect("1")
	seen := map[int]bool{}
	for range 50 {
		_, resp, err := f.dial("vsn=2.0.0&user=1", nil)
		if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Fatal(resp, err)
		}
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 10 {
			t.Fatalf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
		seen[seconds] = true
		if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "too many connections of this user") {
			t.Fatalf("body %q", body)
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %d different times", len(seen))
	}
}

// TestARefusalAfterTheUpgradeBeganSaysWhy: another client has come since the request
// was admitted.
func TestARefusalAfterTheUpgradeBeganSaysWhy(t *testing.T) {
	for want, row := range map[string]struct {
		limits websocket.EndpointLimits
		status int
	}{
		"too many connections":                   {websocket.EndpointLimits{Connections: 1}, http.StatusServiceUnavailable},
		"too many connections from this address": {websocket.EndpointLimits{PerAddress: 1}, http.StatusServiceUnavailable},
		"too many connections of this user":      {websocket.EndpointLimits{PerID: 1}, http.StatusTooManyRequests},
	} {
		t.Run(want, func(t *testing.T) {
			var both sync.WaitGroup // in Connect
			both.Add(2)
			f := start(t, setup{
				endpoint: websocket.EndpointConfig{Limits: row.limits},
				socket: websocket.SocketConfig[user]{
					ID: func(user) string { return "users:1" },
					Connect: func(context.Context, *websocket.ConnectRequest) (user, error) {
						both.Done()
						both.Wait()
						return user{}, nil
					},
				},
			})
			refused := make(chan *http.Response, 2)
			for range 2 {
				go func() {
					_, resp, err := f.dial("vsn=2.0.0", nil)
					if err == nil {
						resp = nil
					}
					refused <- resp
				}()
			}
			resp := got(t, refused)
			if resp == nil {
				resp = got(t, refused)
			}
			if resp == nil {
				t.Fatal("none was refused")
			}
			body, _ := io.ReadAll(resp.Body)
			if h := resp.Header; resp.StatusCode != row.status || string(body) != want || h.Get("Retry-After") == "" ||
				h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%d %q %v", resp.StatusCode, body, h)
			}
		})
	}
}
