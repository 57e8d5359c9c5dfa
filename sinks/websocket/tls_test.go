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
	if err := e.Mount("/socket", s, websocket.MountConfig{Timeouts: websocket.Timeouts{Idle: 300 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(e)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	url := "wss" + strings.TrimPrefix(server.URL, "https") + "/socket/websocket?vsn=2.0.0"
	c, _, err := client.Dial(ctx, url, &client.DialOptions{HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	p := &peer{t: t, ws: c}
	p.join(1, "room:a")
	for n := range 200 {
		if _, err := e.Broadcast(ctx, "room:a", "e", map[string]int{"n": n}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
	}
	if code := p.closed(); code != 1002 { // the idle timeout
		t.Errorf("closed with %d, want 1002", code)
	}
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}
