package websocket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
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
