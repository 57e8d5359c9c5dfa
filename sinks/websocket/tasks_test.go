package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// lookup is a handler whose event slow takes a second, and panics if told to.
func lookup(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	if event == "quick" {
		return websocket.OK(nil), nil
	}
	ref, err := ch.Ref()
	if err != nil {
		return websocket.Reply{}, err
	}
	err = ch.Go(func(ctx context.Context) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		if event == "panic" {
			panic("in a task")
		}
		_ = ref.Reply(websocket.OK(p)) // the client may be gone
	})
	if errors.Is(err, websocket.ErrTooManyTasks) && event != "silent" {
		return websocket.Fail(map[string]string{"reason": "busy"}), nil
	}
	return websocket.Reply{}, err
}

func startLookup(t *testing.T) *channeltest.Channel {
	f := start(t, setup{pipes: true}, func(f *fixture) {
		f.socket.ChannelWith("room:*", websocket.ChannelConfig{MaxTasks: 3}, func(user, string) websocket.Handler { return &app{in: lookup} })
	})
	return channeltest.Connect(t, f.endpoint, path).Join("room:a", nil)
}

func TestTasksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := startLookup(t)
		for round := range 2 {
			begin := time.Now()
			var slow []*channeltest.Push
			for n := range 3 {
				slow = append(slow, room.Push("slow", map[string]int{"n": n}))
			}
			room.Push("slow", nil).AssertReply("error", map[string]string{"reason": "busy"})
			room.Push("silent", nil).RefuteReply(time.Millisecond) // the error lets the channel go on
			room.Push("quick", nil).AssertReply("ok", nil)         // and is not held up
			if d := time.Since(begin); d > 2*time.Millisecond {
				t.Errorf("round %d: held up for %v", round, d)
			}
			for n, p := range slow {
				p.AssertReply("ok", map[string]int{"n": n})
			}
			if d := time.Since(begin); d != time.Second {
				t.Errorf("round %d: answered after %v", round, d)
			}
			synctest.Wait() // a task replies before it returns
		}
	})
}

func TestATaskThatPanicsCrashesTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := startLookup(t)
		p := room.Push("panic", nil)
		room.Push("quick", nil).AssertReply("ok", nil)
		room.AssertCrashed()
		p.RefuteReply(time.Second)
	})
}

func TestTasksEndWithTheirChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch *websocket.Channel
		ended := make(chan time.Time, 1)
		a := &app{join: func(_ context.Context, c *websocket.Channel, _ websocket.Payload) (any, error) {
			ch = c
			return nil, ch.Go(func(ctx context.Context) { // in Join as well
				<-ctx.Done()
				ended <- time.Now()
			})
		}}
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": a}})
		room := channeltest.Connect(t, f.endpoint, path).Join("room:a", nil)
		pass(time.Minute / 2)
		begin := time.Now()
		room.Leave()
		if at := <-ended; at != begin {
			t.Errorf("after %v", at.Sub(begin))
		}
		if err := ch.Go(func(context.Context) { t.Error("a task of nobody ran") }); !errors.Is(err, websocket.ErrNotJoined) {
			t.Error(err)
		}
	})
}

func TestSendEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ch *websocket.Channel
		var stop func() bool
		begin := time.Now()
		a := &app{join: func(_ context.Context, c *websocket.Channel, _ websocket.Payload) (any, error) {
			ch = c
			stop = ch.SendEvery(5*time.Second, "token")
			ch.SendEvery(time.Hour, "never")
			return nil, nil
		}, info: func(_ context.Context, ch *websocket.Channel, msg any) error {
			return ch.Push(msg.(string), map[string]int{"after": int(time.Since(begin).Seconds())})
		}}
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": a}})
		c := channeltest.Connect(t, f.endpoint, path)
		room := c.Join("room:a", nil)
		for n := range 3 {
			pass(5 * time.Second)
			room.AssertPush("token", map[string]int{"after": 5 * (n + 1)})
			c.Heartbeat()
		}
		if !stop() || stop() {
			t.Error("stopped in time, but only once")
		}
		room.Refute("token", 20*time.Second)
		c.Heartbeat()
		stop = ch.SendEvery(0, "often") // a millisecond
		pass(3*time.Millisecond + time.Microsecond)
		room.AssertPush("often", map[string]int{"after": 35})
		room.Leave()
		synctest.Wait()
		if stop() {
			t.Error("it had ended with the channel")
		}
		if late := ch.SendAfter(time.Second, "late"); late() {
			t.Error("a timer for a channel that is over")
		}
	})
}

// TestTimersDoNotKeepAChannel: a timer far in the future ends with its channel,
// which can be collected.
func TestTimersDoNotKeepAChannel(t *testing.T) {
	collected := make(chan struct{})
	f := start(t, setup{}, func(f *fixture) {
		f.socket.Channel("room:*", func(user, string) websocket.Handler {
			a := &app{join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
				ch.SendAfter(time.Hour, "late")
				ch.SendEvery(time.Hour, "every")
				return nil, nil
			}}
			runtime.AddCleanup(a, func(done chan struct{}) { close(done) }, collected)
			return a
		})
	})
	channeltest.Connect(t, f.endpoint, path).Join("room:a", nil).Leave()
	eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	})
}

func TestMaxTasksIsChecked(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	s.ChannelWith("x", websocket.ChannelConfig{MaxTasks: -1}, func(user, string) websocket.Handler { return nil })
	if err := e.Mount("/x", s, websocket.MountConfig{}); fmt.Sprint(err) != "websocket.Endpoint.Mount: option channel MaxTasks refused: -1; allowed: 0 or more" {
		t.Error(err)
	}
}
