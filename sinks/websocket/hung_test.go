package websocket_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// hangs is a handler whose methods wait until release is closed.
func hangs(release <-chan struct{}) *app {
	return &app{in: func(_ context.Context, _ *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
		if event == "hang" {
			<-release
		}
		return websocket.Reply{}, nil
	}}
}

const refusedHung = `["%d","%d","room:a","phx_reply",{"response":{"reason":"too many handlers do not end"},"status":"error"}]`

// TestHandlersThatHangAreBoundedOnAConnection: each join over one of them would leave
// another goroutine.
func TestHandlersThatHangAreBoundedOnAConnection(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		release := make(chan struct{})
		var log bytes.Buffer
		f := begin(setup{
			endpoint: websocket.EndpointConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))},
			mount:    websocket.MountConfig{Limits: websocket.Limits{Channels: 3}},
			channels: one("room:*", hangs(release)),
		})
		p := f.connect("1")
		for n := 1; n <= 3; n++ {
			p.join(n, "room:a")
			if n > 1 {
				p.expect(fmt.Sprintf(`["%d","%d","room:a","phx_close",{}]`, n-1, n-1))
			}
			p.send(`["%d",null,"room:a","hang",{}]`, n)
		}
		for n := 4; n < 8; n++ {
			p.send(`["%d","%d","room:a","phx_join",{}]`, n, n)
			p.expect(fmt.Sprintf(refusedHung, n, n))
			if n == 4 {
				p.expect(`["3","3","room:a","phx_close",{}]`)
			}
		}
		if n := f.metrics.get("websocket.hung_handlers"); n != 3 {
			t.Errorf("the gauge is %v", n)
		}
		if n := f.endpoint.Snapshot().HungHandlers; n != 3 {
			t.Errorf("the snapshot has %d", n)
		}
		if n := f.metrics.get("websocket.rejected,reason:hung"); n != 4 {
			t.Errorf("%v rejected", n)
		}
		synctest.Wait()
		if got := log.String(); !strings.Contains(got, "handler hangs") || !strings.Contains(got, "hung=3") {
			t.Errorf("log: %s", got)
		}
		close(release)
		synctest.Wait()
		if n := f.metrics.get("websocket.hung_handlers"); n != 0 {
			t.Errorf("the gauge is %v after the end", n)
		}
		p.join(9, "room:a")
	})
}

// TestHandlersThatHangAreBoundedOverReconnects, for the user and for all.
func TestHandlersThatHangAreBoundedOverReconnects(t *testing.T) {
	for name, s := range map[string]setup{
		"of a user": {mount: websocket.MountConfig{Limits: websocket.Limits{Channels: 3}}, socket: websocket.SocketConfig[user]{ID: usersID}},
		"of all":    {endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{HungHandlers: 3}}},
	} {
		for _, where := range []string{"HandleIn", "HandleJoin", "HandleTerminate", "task"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
					release := make(chan struct{})
					s := s
					a := hangs(release)
					switch where {
					case "HandleJoin":
						a.join = func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
							if string(p.Data) == `{"hang":1}` {
								<-release
							}
							return nil, nil
						}
					case "HandleTerminate":
						a.terminate = func(context.Context, *websocket.Channel, error) { <-release }
						a.in = nil
					case "task":
						a.in = func(_ context.Context, ch *websocket.Channel, _ string, _ websocket.Payload) (websocket.Reply, error) {
							return websocket.Reply{}, ch.Go(func(context.Context) { <-release })
						}
					}
					s.channels = one("room:*", a)
					f := begin(s)
					for range 3 {
						c := f.raw()
						if where == "HandleJoin" {
							c.frame(final|text, []byte(`["1","1","room:a","phx_join",{"hang":1}]`))
						} else {
							c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
							_, _, _ = c.next()
							c.frame(final|text, []byte(`["1",null,"room:a","hang",{}]`))
						}
						pass(100 * time.Millisecond)
						_ = c.nc.Close()
						pass(time.Second)
					}
					pass(20 * time.Second)
					if n := f.metrics.get("websocket.hung_handlers"); n != 3 {
						t.Errorf("the gauge is %v", n)
					}
					p := f.connect("")
					p.send(`["4","4","room:a","phx_join",{}]`)
					p.expect(fmt.Sprintf(refusedHung, 4, 4))
					if name == "of a user" {
						f.connect("another").join(1, "room:a")
					}
					close(release)
					synctest.Wait()
					if n := f.metrics.get("websocket.hung_handlers"); n != 0 {
						t.Errorf("the gauge is %v after the end", n)
					}
					p.join(5, "room:a")
				})
			})
		}
	}
}

// TestConnectsThatHangAreBounded: each try to connect would leave a goroutine.
func TestConnectsThatHangAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, begin func(s setup) *fixture) {
		release := make(chan struct{})
		var calls atomic.Int64
		f := begin(setup{
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{HungHandlers: 3}},
			socket: websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) {
				calls.Add(1)
				<-release
				return user{}, nil
			}},
		})
		for range 10 {
			if _, resp, err := f.dial("vsn=2.0.0", nil); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatal(resp, err)
			}
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("%d calls of Connect", n)
		}
		if n := f.metrics.get("websocket.refused,reason:hung"); n != 7 {
			t.Errorf("%v refused", n)
		}
		close(release)
		synctest.Wait()
		if n := f.endpoint.Snapshot().HungConnects; n != 0 {
			t.Errorf("%d hang", n)
		}
	})
}
