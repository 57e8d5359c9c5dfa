package channeltest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type room struct{ name string }

func (r *room) HandleJoin(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
	if ch.Topic() == "room:closed" {
		return nil, websocket.Refuse("closed")
	}
	return map[string]string{"hello": r.name}, nil
}

func (r *room) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	switch event {
	case "say":
		_, err := ch.BroadcastFrom(ctx, "said", p)
		return websocket.OK(nil), errors.Join(err, ch.Push("heard", p))
	case "later":
		ch.SendAfter(time.Minute, "later")
		return websocket.Reply{}, nil
	case "stop":
		return websocket.Reply{}, websocket.ErrStopped
	}
	return websocket.Reply{}, errors.New("unknown event")
}

func (r *room) HandleInfo(_ context.Context, ch *websocket.Channel, msg any) error {
	return ch.Push(msg.(string), nil)
}

func newEndpoint(t testing.TB) *websocket.Endpoint {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[string]{
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (string, error) {
			if r.Params.Get("name") == "" {
				return "", &websocket.StatusError{Status: 401, Body: "who"}
			}
			return r.Params.Get("name"), nil
		},
		ID: func(name string) string { return "id:" + name },
	})
	s.Channel("room:*", func(name, _ string) websocket.Handler { return &room{name} })
	if err := e.Mount("/socket", s, websocket.MountConfig{}); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		ann := channeltest.Connect(t, e, "/socket/websocket?name=Ann")
		bob := channeltest.Connect(t, e, "/socket/websocket?name=Bob")
		a, b := ann.Join("room:a", nil), bob.Join("room:a", nil)
		if string(a.Reply) != `{"hello":"Ann"}` {
			t.Errorf("reply %s", a.Reply)
		}
		a.Push("say", map[string]int{"n": 1}).AssertReply("ok", nil)
		a.AssertPush("heard", struct {
			N int `json:"n"`
		}{1})
		b.AssertBroadcast("said", map[string]int{"n": 1})
		a.Refute("said", time.Minute-time.Second)
		b.Push("say", websocket.Binary{1, 2}).AssertReply("ok", nil)
		a.AssertBroadcast("said", websocket.Binary{1, 2})
		ann.Heartbeat()
		bob.Heartbeat()
		p := a.Push("later", nil)
		p.RefuteReply(30 * time.Second)
		ann.Heartbeat()
		bob.Heartbeat()
		a.Refute("later", 29*time.Second)
		a.AssertPush("later", nil)
		a.Push("stop", nil)
		a.AssertClosed()
		b.Push("nonsense", nil)
		b.AssertCrashed()
		b = bob.Join("room:b", nil)
		b.Leave()
		if _, status, response := bob.TryJoin("room:closed", nil); status != "error" || string(response) != `{"reason":"closed"}` {
			t.Errorf("%s %s", status, response)
		}
		if _, err := e.Disconnect(t.Context(), "id:Ann"); err != nil {
			t.Error(err)
		}
		ann.AssertClosed(1001)
		bob.Close()
		if status, body := channeltest.Refused(t, e, "/socket/websocket"); status != 401 || body != "who" {
			t.Errorf("%d %q", status, body)
		}
	})
}

func TestAClientThatPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t)
		c := channeltest.Connect(t, e, "/socket/websocket?name=Ann")
		room := c.Join("room:a", nil)
		c.Pause()
		for n := range 3 {
			if _, err := e.Broadcast(t.Context(), "room:a", "news", map[string]int{"n": n}); err != nil {
				t.Fatal(err)
			}
		}
		room.Refute("news", time.Second)
		if n := e.Snapshot().QueuedFrames; n != 3 {
			t.Errorf("%d frames wait at the server, want 3", n)
		}
		c.Resume()
		for n := range 3 {
			room.AssertBroadcast("news", map[string]int{"n": n})
		}
		for n := range 3 {
			if _, err := e.Broadcast(t.Context(), "room:a", "news", map[string]int{"n": n}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := fmt.Sprintf("%s", room.Received("news")); got != `[{"n":0} {"n":1} {"n":2}]` || room.Received("news") != nil {
			t.Errorf("received %s", got)
		}
		c.Pause() // the end of the test must not wait for it
	})
}

// spy is a testing.TB that notes failures instead of failing.
type spy struct {
	testing.TB
	failed string
}

func (s *spy) Helper() {}
func (s *spy) Fatalf(format string, args ...any) {
	s.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (s *spy) Fatal(args ...any) { s.Fatalf("%s", fmt.Sprint(args...)) }

// TestFailuresAreNoticed: a kit whose assertions cannot fail is worth nothing.
func TestFailuresAreNoticed(t *testing.T) {
	for name, wrong := range map[string]func(s *spy, e *websocket.Endpoint, c *channeltest.Client, ch *channeltest.Channel){
		"status 401": func(s *spy, e *websocket.Endpoint, _ *channeltest.Client, _ *channeltest.Channel) {
			channeltest.Connect(s, e, "/socket/websocket")
		},
		"accepted": func(s *spy, e *websocket.Endpoint, _ *channeltest.Client, _ *channeltest.Channel) {
			channeltest.Refused(s, e, "/socket/websocket?name=x")
		},
		"join room:closed": func(_ *spy, _ *websocket.Endpoint, c *channeltest.Client, _ *channeltest.Channel) {
			c.Join("room:closed", nil)
		},
		"want ok map[n:1]": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("say", nil).AssertReply("ok", map[string]int{"n": 1})
		},
		"want error": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("say", nil).AssertReply("error", nil)
		},
		"reply to say": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("say", nil).RefuteReply(time.Second)
		},
		"no reply to later": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("later", nil).Reply()
		},
		"heard came": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("say", nil)
			ch.Refute("heard", time.Second)
		},
		"no heard with": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("say", nil)
			ch.AssertBroadcast("heard", nil)
		},
		"no phx_close": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) { ch.AssertClosed() },
		"no phx_error": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.AssertCrashed()
		},
		"closed false with": func(_ *spy, _ *websocket.Endpoint, c *channeltest.Client, _ *channeltest.Channel) {
			c.AssertClosed(1001)
		},
		"payload of nothing": func(_ *spy, _ *websocket.Endpoint, _ *channeltest.Client, ch *channeltest.Channel) {
			ch.Push("nothing", make(chan int))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(t)
				s := &spy{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					c := channeltest.Connect(s, e, "/socket/websocket?name=Eve")
					wrong(s, e, c, c.Join("room:a", nil))
				}()
				<-done
				if !strings.Contains(s.failed, name) {
					t.Errorf("failed with %q", s.failed)
				}
			})
		})
	}
}

func ExampleConnect() {
	t := &spy{} // stands for the *testing.T of a test
	t.TB = &exampleTB{}
	defer t.TB.(*exampleTB).cleanup()
	e := newEndpoint(t)
	room := channeltest.Connect(t, e, "/socket/websocket?name=Ann").Join("room:a", nil)
	room.Push("say", map[string]string{"text": "hi"}).AssertReply("ok", nil)
	room.AssertPush("heard", map[string]string{"text": "hi"})
	fmt.Println(string(room.Reply), t.failed)
	// Output: {"hello":"Ann"}
}

func ExampleRefused() {
	t := &spy{TB: &exampleTB{}}
	fmt.Println(channeltest.Refused(t, newEndpoint(t), "/socket/websocket"))
	// Output: 401 who
}

type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (e *exampleTB) Cleanup(f func())         { e.cleanups = append(e.cleanups, f) }
func (e *exampleTB) Context() context.Context { return context.Background() }

func (e *exampleTB) cleanup() {
	for _, f := range e.cleanups {
		f()
	}
}
