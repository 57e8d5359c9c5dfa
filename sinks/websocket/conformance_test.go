package websocket_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// TestConformance holds the cases of what a server compatible with Phoenix
// must do, by the numbers of docs/conformance-channels.md.
func TestConformance(t *testing.T) {
	for _, group := range [][]conformanceCase{handshakeCases, channelCases, broadcastCases, endCases} {
		for _, c := range group {
			t.Run(c.name, c.run)
		}
	}
}

type conformanceCase struct {
	name string
	run  func(t *testing.T)
}

var broadcastCases = []conformanceCase{
	{"P61_all_and_sender", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, a *channeltest.Client, _ chan error) {
			b := channeltest.Connect(t, f.endpoint, path+"?user=2")
			ca, cb := a.Join("room:a", nil), b.Join("room:a", nil)
			ca.Push("all", map[string]int{"n": 1}).AssertReply("ok", nil)
			ca.AssertBroadcast("told", map[string]int{"n": 1})
			cb.AssertBroadcast("told", map[string]int{"n": 1})
		})
	}},
	{"P63_intercept", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, _ chan error) {
			ch := c.Join("room:a", nil)
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "changed", map[string]int{"n": 5}); err != nil {
				t.Error(err)
			}
			ch.AssertPush("changed", map[string]any{"was": map[string]int{"n": 5}})
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "stopping", nil); err != nil {
				t.Error(err)
			}
			ch.AssertClosed()
		})
	}},
	{"P64_push_before_joined", TestSendAndSendAfter},
	{"P65_other_topics", TestOtherTopics},
	{"P66_unexpected_message", func(t *testing.T) {
		var out strings.Builder
		var mu sync.Mutex
		log := slog.New(slog.NewTextHandler(lockedWriter{&mu, &out}, nil))
		handles := make(chan *websocket.Channel, 1)
		f := start(t, setup{endpoint: websocket.EndpointConfig{Logger: log}}, func(f *fixture) {
			f.socket.Channel("room:*", func(user, string) websocket.Handler {
				return websocket.HandlerFunc(func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
					handles <- ch
					return nil, nil
				})
			})
		})
		c := channeltest.Connect(t, f.endpoint, path)
		room := c.Join("room:a", nil)
		if err := (<-handles).Send(struct{ secret string }{"hush"}); err != nil {
			t.Error(err)
		}
		eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return strings.Contains(out.String(), "without HandleInfo") })
		if strings.Contains(out.String(), "hush") {
			t.Error("the message was logged")
		}
		f.broadcast("room:a", 1, 2)
		room.AssertBroadcast("e", map[string]int{"n": 1})
	}},
}

// badValue cannot be encoded.
type badValue struct{}

func (badValue) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// TestPanicsOfValues holds row S20: whatever the application's values and
// callbacks do, the process and the other channels live.
func TestPanicsOfValues(t *testing.T) {
	bad := &app{
		join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			if ch.Topic() == "bad:join" {
				return badValue{}, nil
			}
			if ch.Topic() == "bad:refusal" {
				return nil, websocket.RefuseWith(badValue{})
			}
			return nil, nil
		},
		in: func(_ context.Context, ch *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
			return websocket.OK(badValue{}), nil
		},
	}
	f := start(t, setup{channels: map[string]*app{"room:*": {}}}, func(f *fixture) {
		f.socket.ChannelWith("bad:*", websocket.ChannelConfig{Conflate: func(string, websocket.Payload) string { panic("in Conflate") }},
			func(_ user, topic string) websocket.Handler {
				switch topic {
				case "bad:new":
					panic("in the factory")
				case "bad:nil":
					return nil
				}
				return bad
			})
	})
	c := channeltest.Connect(t, f.endpoint, path)
	room := c.Join("room:a", nil)
	for _, topic := range []string{"bad:join", "bad:new", "bad:nil", "bad:refusal"} {
		reply(t, c, topic, "error", `{"reason":"join crashed"}`)
	}
	ch := c.Join("bad:a", nil)
	if n, err := f.endpoint.Broadcast(t.Context(), "bad:a", "e", nil); n != 1 || err != nil {
		t.Errorf("Conflate: %d, %v", n, err)
	}
	ch.AssertBroadcast("e", nil)
	ch.Push("x", nil)
	ch.AssertCrashed()
	if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "e", badValue{}); n != 0 || err == nil {
		t.Errorf("broadcast: %d, %v", n, err)
	}
	room.Push("echo", nil).AssertReply("ok", nil)
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

var endCases = []conformanceCase{
	{"P67_crash", TestACrashEndsThatChannelOnly},
	{"P68_stop", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, c *channeltest.Client, ends chan error) {
			ch := c.Join("room:a", nil)
			ch.Push("stop", nil)
			ch.AssertClosed()
			if err := <-ends; !errors.Is(err, websocket.ErrStopped) {
				t.Error(err)
			}
			ch = c.Join("room:a", nil)
			ch.Push("stop_reply", nil).AssertReply("ok", map[string]int{"bye": 1})
			ch.AssertClosed()
		})
	}},
	{"P69_client_closes", TestReasonsOfTermination},
	{"P70_terminate_that_hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			a := &app{terminate: func(ctx context.Context, _ *websocket.Channel, _ error) {
				<-ctx.Done() // five seconds
				<-release
			}}
			f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": a}})
			p := f.connect("1")
			p.join(1, "room:a")
			begin := time.Now()
			p.join(2, "room:a") // waits for the old one, but only for the grace time
			if d := time.Since(begin); d != 5*time.Second {
				t.Errorf("after %v, want the grace time", d)
			}
			p.expect(`["1","1","room:a","phx_close",{}]`)
			close(release)
		})
	}},
	{"P71_forced_disconnect", func(t *testing.T) {
		talk(t, func(t *testing.T, f *fixture, a *channeltest.Client, ends chan error) {
			b := channeltest.Connect(t, f.endpoint, path+"?user=1")
			other := channeltest.Connect(t, f.endpoint, path+"?user=2")
			a.Join("room:a", nil)
			b.Join("room:b", nil)
			other.Join("room:a", nil)
			if n, err := f.endpoint.Broadcast(t.Context(), "users:1", "something else", nil); n != 0 || err != nil {
				t.Error(n, err)
			}
			if n, err := f.endpoint.Broadcast(t.Context(), "users:1", "disconnect", nil); n != 2 || err != nil {
				t.Error(n, err)
			}
			a.AssertClosed(1001)
			b.AssertClosed(1001)
			other.Heartbeat()
			for range 2 {
				if err := <-ends; !errors.Is(err, websocket.ErrDisconnected) {
					t.Error(err)
				}
			}
		})
	}},
	{"P72_heartbeat", func(t *testing.T) {
		f := start(t, setup{})
		p := f.connect("1")
		p.send(`[null,"7","phoenix","heartbeat",{}]`)
		p.expect(`[null,"7","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
		p.send(`[null,"8","phoenix","phx_join",{}]`)
		p.expect(`[null,"8","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
	}},
	{"P73_idle_timeout", TestIdleTimeoutCountsFromTheClientsBytes},
	{"P74_ping", func(t *testing.T) {
		f := start(t, setup{})
		c := f.raw()
		for _, payload := range []string{"", "hey", strings.Repeat("x", 125)} {
			c.frame(0x89, []byte(payload))
			if first, got, err := c.next(); first != 0x8a || string(got) != payload || err != nil {
				t.Errorf("%x %q %v", first, got, err)
			}
		}
	}},
	{"P75_drain_in_batches", TestShutdownInBatches},
	{"P76_snapshot", TestSlowClientIsNoticed},
	{"P78_P79_P84_P88_long_poll", TestLongPoll},
	{"P81_P82_long_poll_ends", TestLongPollEnds},
	{"P83_P86_P89_long_poll_requests", TestLongPollRefusals},
	{"P85_long_poll_over_any_node", TestLongPollOverAnyNode},
	{"V1", func(t *testing.T) {
		f := start(t, setup{channels: map[string]*app{"room:*": conversation(nil)}})
		c, _, err := f.dial("vsn=1.0.0", &client.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, ws: c}
		p.send(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`)
		p.expect(`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1","topic":"room:a"}`)
		p.send(`{"topic":"room:a","event":"all","payload":{"x":1},"ref":"2"}`)
		p.expect(`{"event":"told","payload":{"x":1},"ref":null,"topic":"room:a"}`)
		p.expect(`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"2","topic":"room:a"}`)
		if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "bin", websocket.Binary{1}); n != 0 || err != nil {
			t.Errorf("binary over V1: %d %v", n, err)
		}
		p.send(`{"topic":"room:a","event":"whatever","payload":{},"ref":"3"}`)
		p.expect(`{"event":"ending","payload":{},"ref":null,"topic":"room:a"}`)
		p.expect(`{"event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1","topic":"room:a"}`)
		p.send(`["1","1","room:a","phx_join",{}]`)
		if code := p.closed(); code != 1011 {
			t.Errorf("closed with %d", code)
		}
	}},
}
