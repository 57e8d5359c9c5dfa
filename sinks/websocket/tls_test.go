package websocket_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestOverTLS pins that a connection whose socket cannot be written to directly
// behaves as any other, deadlines included.
func TestOverTLS(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	s.Channel("room:*", func(user, string) websocket.Handler { return &app{} })
	// A timeout of its own for the connection that is silent: the other one may take its time.
	for path, idle := range map[string]time.Duration{"/socket": time.Minute, "/silent": 300 * time.Millisecond} {
		if err := e.Mount(path, s, websocket.MountConfig{Timeouts: websocket.Timeouts{Idle: idle}}); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewTLSServer(e)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connect := func(path string) *peer {
		url := "wss" + strings.TrimPrefix(server.URL, "https") + path + "/websocket?vsn=2.0.0"
		c, _, err := client.Dial(ctx, url, &client.DialOptions{HTTPClient: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return &peer{t: t, ws: c}
	}
	p := connect("/socket")
	p.join(1, "room:a")
	for n := range 200 {
		if _, err := e.Broadcast(ctx, "room:a", "e", map[string]int{"n": n}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
	}
	silent := connect("/silent")
	// It joins, unless it was closed before that.
	_ = silent.ws.Write(ctx, client.MessageText, []byte(`["1","1","room:b","phx_join",{}]`))
	if code := silent.closed(); code != 1002 { // the idle timeout
		t.Errorf("closed with %d, want 1002", code)
	}
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}
