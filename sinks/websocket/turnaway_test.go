package websocket_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// turnsAway is a Connect that refuses everybody with err.
func turnsAway(err error) websocket.SocketConfig[user] {
	return websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) { return user{}, err }}
}

// TestARefusalThatAPageCanRead: the connection is made to say why, and nothing else.
func TestARefusalThatAPageCanRead(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"short": {"account is suspended", "account is suspended"},
		"none":  {"", ""},
		// Cut between two characters of two bytes each.
		"long":      {"a" + strings.Repeat("ü", 200), "a" + strings.Repeat("ü", 61)},
		"not UTF-8": {"a\xffb", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
				joined := false
				f := begin(setup{
					socket: turnsAway(&websocket.StatusError{Status: 403, Body: tt.body, CloseCode: 4403}),
					mount:  websocket.MountConfig{Timeouts: websocket.Timeouts{HoldOff: time.Second}},
					channels: one("room:*", &app{join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
						joined = true
						return nil, nil
					}}),
				})
				start := time.Now()
				p := f.connect("1")
				p.send(`["1","1","room:a","phx_join",{}]`)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, _, err := p.ws.Read(ctx)
				var closed client.CloseError
				if !errors.As(err, &closed) || closed.Code != 4403 || closed.Reason != tt.want {
					t.Errorf("%v", err)
				}
				// phoenix.js connects again at once after a connection that was made.
				if took := time.Since(start); took < time.Second {
					t.Errorf("closed after %v", took)
				}
				pass(3 * time.Second)
				if n := f.endpoint.Snapshot().Connections; joined || n != 0 {
					t.Errorf("joined %v, %d connections", joined, n)
				}
				ok, failed := f.metrics.get("socket_connect,status:success,socket:Test"), f.metrics.get("socket_connect,status:error,socket:Test")
				if refused := f.metrics.get("websocket.refused,reason:connect"); ok != 0 || failed != 1 || refused != 1 {
					t.Errorf("counted ok %v, error %v, refused %v: %v", ok, failed, refused, f.metrics.values)
				}
			})
		})
	}
}

// TestARefusalWithACloseCodeOfItsOwnOnly: other codes mean something else, and a request
// that cannot be upgraded gets the status.
func TestARefusalWithACloseCodeOfItsOwnOnly(t *testing.T) {
	for _, code := range []int{0, 1000, 3999, 5000} {
		e := newEndpoint(t, websocket.EndpointConfig{}, turnsAway(&websocket.StatusError{Status: 429, Body: "later", CloseCode: code}), websocket.MountConfig{})
		if status, body := answer(e, ask("GET", "/socket/websocket", nil)); status != 429 || body != "later" {
			t.Errorf("%d: %d %s", code, status, body)
		}
	}
	e := newEndpoint(t, websocket.EndpointConfig{}, turnsAway(&websocket.StatusError{Status: 429, Body: "later", CloseCode: 4429}), websocket.MountConfig{})
	if status, _ := answer(e, ask("GET", "/socket/websocket", header("Connection", ""))); status != http.StatusTooManyRequests {
		t.Errorf("%d", status)
	}
}

// TestCloseDuringARefusal: a client that is being turned away holds nothing up.
func TestCloseDuringARefusal(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		f := begin(setup{socket: turnsAway(&websocket.StatusError{CloseCode: 4403}), mount: websocket.MountConfig{Timeouts: websocket.Timeouts{HoldOff: time.Hour}}})
		p := f.connect("1")
		gone := f.connect("2")
		_ = gone.ws.CloseNow()
		pass(time.Second)
		if n := f.endpoint.Snapshot().Connections; n != 1 {
			t.Errorf("%d connections after one has gone", n)
		}
		code := make(chan int, 1)
		go func() { code <- p.closed() }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if err := f.endpoint.Close(ctx); err != nil || time.Since(start) > 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if code := <-code; code != 1001 {
			t.Errorf("closed with %d", code)
		}
	})
}
