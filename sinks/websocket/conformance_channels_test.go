package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// conversation is a handler for the cases of channels.
func conversation(ends chan<- error) *app {
	a := &app{intercept: []string{"changed", "stopping"}}
	a.join = func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
		switch ch.Topic() {
		case "room:map":
			return map[string]int{"seats": 5}, nil
		case "room:refused":
			return nil, websocket.RefuseWith(map[string]string{"why": "full"})
		case "room:raises":
			panic("join")
		case "room:junk":
			return make(chan int), nil
		case "room:params":
			return p, nil
		case "room:pushes":
			return nil, ch.Send("joined")
		}
		return nil, nil
	}
	a.info = func(ctx context.Context, ch *websocket.Channel, msg any) error {
		if msg != "joined" {
			return nil
		}
		_, err := ch.Broadcast(ctx, "entered", nil)
		return errors.Join(ch.Push("welcome", nil), err)
	}
	a.in = func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
		switch event {
		case "echo":
			return websocket.OK(p), nil
		case "status":
			return websocket.Fail(nil), nil
		case "silent":
			return websocket.Reply{}, nil
		case "all":
			_, err := ch.Broadcast(ctx, "told", p)
			return websocket.OK(nil), err
		case "changed", "stopping":
			_, err := ch.Broadcast(ctx, event, p)
			return websocket.Reply{}, err
		case "binary":
			return websocket.OK(websocket.Binary{1}), ch.Push("bin", websocket.Binary{2})
		case "stop":
			return websocket.Reply{}, websocket.ErrStopped
		case "stop_reply":
			return websocket.OK(map[string]int{"bye": 1}), websocket.ErrStopped
		}
		return websocket.Reply{}, fmt.Errorf("unknown event %q", event)
	}
	a.out = func(_ context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error {
		if event == "stopping" {
			return websocket.ErrStopped
		}
		return ch.Push(event, map[string]any{"was": payload})
	}
	a.terminate = func(_ context.Context, ch *websocket.Channel, reason error) {
		_ = ch.Push("ending", nil) // not possible for all reasons
		if ends != nil {
			ends <- reason
		}
	}
	return a
}

// talk connects a client to conversation, in a bubble.
func talk(t *testing.T, run func(t *testing.T, f *fixture, c *channeltest.Client, ends chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan error, 100)
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)},
			socket: websocket.SocketConfig[user]{ID: func(u user) string { return "users:" + u.ID }}})
		run(t, f, channeltest.Connect(t, f.endpoint, path+"?user=1"), ends)
	})
}

func reply(t *testing.T, c *channeltest.Client, topic, wantStatus, want string) {
	t.Helper()
	if _, status, response := c.TryJoin(topic, map[string]int{"p": 1}); status != wantStatus || string(response) != want {
		t.Errorf("%s: %s %s, want %s %s", topic, status, response, wantStatus, want)
	}
}

var channelCases = []conformanceCase{
	{"P31_payload_must_be_a_map", TestBadPayloads},
	{"P41_join_then_pushes_then_broadcast", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(nil)}})
			p := f.connect("1")
			p.join(1, "room:pushes") // the reply comes first
			p.expect(`[null,null,"room:pushes","entered",{}]`)
			p.expect(`["1",null,"room:pushes","welcome",{}]`)
		})
	}},
	{"P42_join_reply", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:map", "ok", `{"seats":5}`)
		})
	}},
	{"P43_join_refused", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:refused", "error", `{"why":"full"}`)
		})
	}},
	{"P44_join_crashed", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:raises", "error", `{"reason":"join crashed"}`)
			reply(t, c, "room:junk", "error", `{"reason":"join crashed"}`)
		})
	}},
	{"P46_first_pattern", func(t *testing.T) {
		f := start(t, setup{}, func(f *fixture) {
			for _, pattern := range []string{"a:exact", "a:*", "a:never", "*"} {
				f.socket.Channel(pattern, func(user, string) websocket.Handler {
					return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
						return map[string]string{"by": pattern}, nil
					})
				})
			}
		})
		c := channeltest.Connect(t, f.endpoint, path)
		for topic, by := range map[string]string{"a:exact": "a:exact", "a:exact2": "a:*", "a:never": "a:*", "b": "*"} {
			if got := string(c.Join(topic, nil).Reply); got != `{"by":"`+by+`"}` {
				t.Errorf("%s by %s, want %s", topic, got, by)
			}
		}
	}},
	{"P47_replies", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			for _, v := range []any{map[string]int{"a": 1}, []int{1, 2}, "text", map[string]any{"deep": []any{map[string]any{"er": nil}}}} {
				ch.Push("echo", v).AssertReply("ok", v)
			}
			ch.Push("status", nil).AssertReply("error", nil)
			ch.Push("silent", nil).RefuteReply(time.Second)
		})
	}},
	{"P48_P49_reply_later", TestReplyLater},
	{"P51_P52_P53_leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan error, 1)
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)}})
			p := f.connect("1")
			p.join(1, "room:a")
			p.send(`["1","2","room:a","phx_leave",{}]`)
			p.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
			p.expect(`["1","1","room:a","phx_close",{}]`)
			p.expect(`["1",null,"room:a","ending",{}]`)
			if err := <-ends; !errors.Is(err, websocket.ErrLeft) {
				t.Error(err)
			}
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.Channels != 0 {
				t.Errorf("%+v", s)
			}
			p.send(`["1","3","room:a","phx_leave",{}]`) // twice
			p.expect(`["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]`)
			p.send(`["1","4","room:a","echo",{}]`)
			p.expect(`[null,"4","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
		})
	}},
	{"P55_join_refs", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": conversation(nil)}})
		p := f.connect("1")
		p.join(1, "room:a")
		p.send(`[null,"2","room:a","echo",{"null":1}]`)
		p.expect(`["1","2","room:a","phx_reply",{"response":{"null":1},"status":"ok"}]`)
		p.send(`["0","3","room:a","all",{"stale":1}]`)
		p.send(`["1","4","room:a","echo",{}]`)
		p.expect(`["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	}},
	{"P56_duplicate_join", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan error, 1)
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": conversation(ends)}})
			p := f.connect("1")
			p.join(1, "room:a")
			p.join(2, "room:a")
			p.expect(`["1","1","room:a","phx_close",{}]`)
			if err := <-ends; !errors.Is(err, websocket.ErrDuplicateJoin) {
				t.Error(err)
			}
			if n := f.broadcast("room:a", 0, 1); n != 1 {
				t.Errorf("%d receivers", n)
			}
			p.expect(`[null,null,"room:a","e",{"n":0}]`)
		})
	}},
	{"P58_join_params", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			reply(t, c, "room:params", "ok", `{"p":1}`)
		})
	}},
	{"P60_binary", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			ch.Push("echo", websocket.Binary{0, 255}).AssertReply("ok", websocket.Binary{0, 255})
			ch.Push("binary", nil).AssertReply("ok", websocket.Binary{1})
			ch.AssertPush("bin", websocket.Binary{2})
			ch.Push("all", websocket.Binary{7}).AssertReply("ok", nil)
			ch.AssertBroadcast("told", websocket.Binary{7})
			ch.Push("echo", map[string]int{"text": 1}).AssertReply("ok", map[string]int{"text": 1})
		})
	}},
}
