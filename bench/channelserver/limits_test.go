package main

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func (s *testServer) connectAs(t *testing.T, path, id string) *websocket.Conn {
	t.Helper()
	c, _, err := s.dial(t, path, "vsn=2.0.0&token="+s.token(t, id, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTooManyJoins(t *testing.T) {
	s := startServer(t)
	c := s.connectAs(t, "/socket/websocket", "1")
	for i := range 101 {
		send(t, c, fmt.Sprintf(`["%d","%d","room:z%d","phx_join",{}]`, i, i, i))
		if i < 100 {
			receive(t, c, fmt.Sprintf(`["%d","%d","room:z%d","phx_reply",{"response":{},"status":"ok"}]`, i, i, i))
		}
	}
	receive(t, c, `["100","100","room:z100","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]`)
}

func TestBigFrame(t *testing.T) {
	s := startServer(t)
	c := s.connectAs(t, "/socket/websocket", "1")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The write may fail or not: the server closes in the middle of it.
	_ = c.Write(ctx, websocket.MessageText, bytes.Repeat([]byte("x"), 11<<20))
	_, _, err := c.Read(ctx)
	if code := websocket.CloseStatus(err); code != websocket.StatusMessageTooBig && code != -1 {
		t.Errorf("closed with %d, want 1009 or a reset", code)
	}
	if err == nil {
		t.Error("still open")
	}
}

// TestIdleTimeout pins what Phoenix does: 1002 two seconds after the last bytes
// from the client, whatever the server sends.
func TestIdleTimeout(t *testing.T) {
	s := startServer(t)
	// A busy machine may need another attempt.
	for attempt := 1; ; attempt++ {
		d, pushes := idleTimeout(t, s)
		if d < 1900*time.Millisecond {
			t.Fatalf("closed after %v, want 2 s", d)
		}
		if d <= 3*time.Second && pushes >= 2 {
			break
		} else if attempt == 10 {
			t.Fatalf("closed after %v and %d pushes, and as late each time before, want 2 s and 2 pushes at least", d, pushes)
		}
	}
}

// idleTimeout returns how long a connection lasts from its client's last message, and how many
// pushes have come meanwhile.
func idleTimeout(t *testing.T, s *testServer) (lasts time.Duration, pushes int) {
	t.Helper()
	c := s.connectAs(t, "/short/websocket", "1")
	start := time.Now() // the server has the message before its reply is here
	send(t, c, `["1","1","room:p","phx_join",{}]`)
	receive(t, c, `["1","1","room:p","phx_reply",{"response":{},"status":"ok"}]`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = s.endpoint.Broadcast(ctx, "room:p", "msg", nil)
			case <-ctx.Done():
				return
			}
		}
	}()
	for ; ; pushes++ {
		if _, _, err := c.Read(ctx); err != nil {
			if code := websocket.CloseStatus(err); code != 1002 {
				t.Errorf("closed with %d (%v), want 1002", code, err)
			}
			return time.Since(start), pushes
		}
	}
}
