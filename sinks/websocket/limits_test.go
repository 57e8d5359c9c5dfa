package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestUnlimited pins that Unlimited and NoTimeout can be given everywhere and
// that nothing overflows.
func TestUnlimited(t *testing.T) {
	for _, longPoll := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const most = websocket.Unlimited
			s := setup{
				pipes: true,
				endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{
					Connections: most, PerAddress: most, PerID: most, ConnectRate: most, Channels: most, QueuedBytes: math.MaxInt64, LogRate: most,
				}},
				mount: websocket.MountConfig{
					Limits: websocket.Limits{
						MessageBytes: most, Fragments: most, Channels: most, Inbox: most, FrameRate: most, ByteRate: most, JoinRate: most,
					},
					Timeouts: websocket.Timeouts{
						Connect: websocket.NoTimeout, Message: websocket.NoTimeout, Idle: websocket.NoTimeout, Write: websocket.NoTimeout,
						Throttle: websocket.NoTimeout, Join: websocket.NoTimeout, Unjoined: websocket.NoTimeout,
					},
					Queue: websocket.QueueConfig{Events: most, Bytes: most},
				},
				channels: map[string]*app{"room:*": {}},
			}
			if longPoll {
				s.mount.LongPoll = &websocket.LongPollConfig{}
			}
			f := start(t, s)
			p := f.connect("1")
			p.join(1, "room:a")
			time.Sleep(time.Hour)
			f.broadcast("room:a", 0, 300) // more than the default queue
			for n := range 300 {
				p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
			}
			if longPoll {
				if s := f.poll("vsn=2.0.0&user=1").post(`["1","1","room:b","phx_join",{}]`); s != 200 {
					t.Errorf("over long polling: %d", s)
				}
			}
		})
	}
}

// TestNilIsRefused pins that what must be given is asked for when it is missing.
func TestNilIsRefused(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var refused *websocket.OptionError
	if err := e.Mount("/x", nil, websocket.MountConfig{}); !errors.As(err, &refused) || refused.Option != "socket" {
		t.Errorf("no socket: %v", err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	s.Channel("room:*", nil)
	if err := e.Mount("/x", s, websocket.MountConfig{}); !errors.As(err, &refused) || refused.Option != "channel room:*" {
		t.Errorf("no handler: %v", err)
	}
	if _, err := websocket.NewServer(nil, websocket.ServerConfig{}); !errors.As(err, &refused) || refused.Option != "handler" {
		t.Errorf("no http.Handler: %v", err)
	}
}

// TestInterceptingNeedsHandleOut pins that a channel which intercepts cannot be
// joined with a handler that has no HandleOut.
func TestInterceptingNeedsHandleOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true}, func(f *fixture) {
			f.socket.ChannelWith("room:*", websocket.ChannelConfig{Intercept: []string{"e"}}, func(user, string) websocket.Handler {
				return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return nil, nil })
			})
		})
		p := f.connect("1")
		p.send(`["1","1","room:a","phx_join",{}]`)
		p.expect(`["1","1","room:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
	})
}

// TestMountsDoNotCollide pins that a path has one socket, over long polling too.
func TestMountsDoNotCollide(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	polled := websocket.MountConfig{LongPoll: &websocket.LongPollConfig{}}
	if err := e.Mount("/x", s, polled); err != nil {
		t.Fatal(err)
	}
	polled.Suffix = "/other"
	var refused *websocket.OptionError
	if err := e.Mount("/x", s, polled); !errors.As(err, &refused) || refused.Option != "path" {
		t.Errorf("the path of long polling twice: %v", err)
	}
	polled.LongPoll = nil
	if err := e.Mount("/x", s, polled); err != nil {
		t.Errorf("another suffix: %v", err)
	}
}
