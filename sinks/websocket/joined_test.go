package websocket_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// greeter is an app that has something to do once its client is joined.
type greeter struct {
	*app
	joined func(ctx context.Context, ch *websocket.Channel) error
}

func (g *greeter) HandleJoined(ctx context.Context, ch *websocket.Channel) error {
	return g.joined(ctx, ch)
}

// TestJoined pins that HandleJoined comes after the reply, before all that waits for
// the handler, and once, also on a topic with history.
func TestJoined(t *testing.T) {
	for name, cfg := range map[string]websocket.ChannelConfig{"plain": {}, "intercepting": {Intercept: []string{"x"}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &greeter{app: &app{
					join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
						if err := ch.Push("early", nil); err == nil {
							t.Error("a push before the reply")
						}
						return nil, ch.Send("sent in HandleJoin")
					},
					info: func(_ context.Context, ch *websocket.Channel, msg any) error {
						return ch.Push("info", map[string]any{"got": msg})
					},
					out: func(_ context.Context, ch *websocket.Channel, _ string, p websocket.Payload) error {
						return ch.Push("intercepted", p)
					},
				}}
				g.joined = func(ctx context.Context, ch *websocket.Channel) error {
					// The subscription has begun: what is broadcast now arrives.
					if _, err := ch.Broadcast(ctx, "x", map[string]int{"n": 1}); err != nil {
						t.Error(err)
					}
					return ch.Push("state", map[string]int{"n": 1})
				}
				f := start(t, setup{pipes: true}, func(f *fixture) {
					f.socket.ChannelWith("room:*", cfg, func(user, string) websocket.Handler { return g })
				})
				p := f.connect("ann")
				p.join(1, "room:1")
				if len(cfg.Intercept) == 0 {
					p.expect(`[null,null,"room:1","x",{"n":1}]`)
				}
				p.expect(`["1",null,"room:1","state",{"n":1}]`)
				p.expect(`["1",null,"room:1","info",{"got":"sent in HandleJoin"}]`)
				if len(cfg.Intercept) > 0 {
					p.expect(`["1",null,"room:1","intercepted",{"n":1}]`)
				}
				p.send(`["1","2","room:1","echo",{}]`)
				p.expect(`["1","2","room:1","phx_reply",{"response":{},"status":"ok"}]`)
			})
		})
	}
}

// TestJoinedDecidesHowTheChannelGoesOn pins that its error counts as that of any
// method, and that it is not called for a join that is refused or timed out.
func TestJoinedDecidesHowTheChannelGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		join, joined error
		want         string
	}{
		"stopped":    {nil, websocket.ErrStopped, `["1","1","room:1","phx_close",{}]`},
		"crashed":    {nil, errors.New("no"), `["1","1","room:1","phx_error",{"reason":"channel_crash"}]`},
		"queue full": {nil, websocket.ErrQueueFull, `["1","2","room:1","phx_reply",{"response":{},"status":"ok"}]`},
		"refused":    {websocket.Refuse("no"), errors.New("called"), ``},
		"timed out":  {context.DeadlineExceeded, errors.New("called"), ``},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &greeter{app: &app{join: func(ctx context.Context, _ *websocket.Channel, _ websocket.Payload) (any, error) {
					if test.join == context.DeadlineExceeded {
						<-ctx.Done()
						return nil, nil
					}
					return nil, test.join
				}}}
				called := false
				g.joined = func(context.Context, *websocket.Channel) error {
					called = true
					return test.joined
				}
				f := start(t, setup{pipes: true, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Join: time.Second}}}, func(f *fixture) {
					f.socket.Channel("room:*", func(user, string) websocket.Handler { return g })
				})
				p := f.connect("ann")
				if test.want == "" {
					p.send(`["1","1","room:1","phx_join",{}]`)
					p.read() // its error reply
					synctest.Wait()
					if called {
						t.Error("called without a join")
					}
					return
				}
				p.join(1, "room:1")
				synctest.Wait()
				if name == "queue full" { // it goes on
					p.send(`["1","2","room:1","echo",{}]`)
				}
				p.expect(test.want)
			})
		})
	}
}
