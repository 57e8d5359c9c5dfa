package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

func TestIdleTimeoutCountsFromTheClientsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": {}}})
		p := f.connect("1")
		p.join(1, "room:a")
		begin := time.Now()
		for n := range 5 { // heartbeats extend
			pass(50 * time.Second)
			p.send(`[null,"%d","phoenix","heartbeat",{}]`, n)
			p.expect(fmt.Sprintf(`[null,"%d","phoenix","phx_reply",{"response":{},"status":"ok"}]`, n))
		}
		for range 10 { // pushes of the server do not
			pass(5 * time.Second)
			f.broadcast("room:a", 0, 1)
			p.read()
		}
		if code := p.closed(); code != 1002 {
			t.Errorf("closed with %d, want 1002", code)
		}
		if d := time.Since(begin); d < 310*time.Second || d > 313*time.Second {
			t.Errorf("closed after %v, want 310 s", d)
		}
	})
}

func TestAMessageMustEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, mount: websocket.MountConfig{Timeouts: websocket.Timeouts{Idle: time.Minute}}})
		c := f.raw()
		begin := time.Now()
		c.write([]byte{0x81, 0x80 | 126, 0x10, 0, 1, 2, 3, 4})
		for range 9 {
			pass(time.Second)
			c.write([]byte("drip"))
		}
		if code := c.closeCode(); code != 1008 {
			t.Errorf("closed with %d, want 1008", code)
		}
		if d := time.Since(begin); d < 10*time.Second || d > 13*time.Second {
			t.Errorf("closed after %v, want 10 s", d)
		}
	})
}

func TestSendAndSendAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{}
		a.join = func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			if err := ch.Push("early", nil); !errors.Is(err, websocket.ErrNotJoined) {
				t.Errorf("push in Join: %v", err)
			}
			if _, err := ch.Ref(); !errors.Is(err, websocket.ErrNoRef) {
				t.Errorf("Ref in Join: %v", err)
			}
			if stop := ch.SendAfter(time.Second, "never"); !stop() {
				t.Error("timer was not stopped")
			}
			return nil, ch.Send(0)
		}
		a.info = func(_ context.Context, ch *websocket.Channel, msg any) error {
			n := msg.(int)
			ch.SendAfter(5*time.Second, n+1)
			return ch.Push("token", map[string]int{"n": n})
		}
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": a}})
		p := f.connect("1")
		p.join(1, "room:a")
		begin := time.Now()
		for n := range 4 {
			p.expect(fmt.Sprintf(`["1",null,"room:a","token",{"n":%d}]`, n))
			if d := time.Since(begin); d != time.Duration(n)*5*time.Second {
				t.Errorf("push %d after %v", n, d)
			}
		}
	})
}

func TestReplyLater(t *testing.T) {
	refs := make(chan websocket.Ref, 2)
	f := start(t, setup{channels: map[string]*app{"room:*": {in: func(_ context.Context, ch *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
		ref, err := ch.Ref()
		if event == "no_ref" {
			if !errors.Is(err, websocket.ErrNoRef) {
				t.Errorf("Ref without ref: %v", err)
			}
			return websocket.Reply{}, nil
		}
		refs <- ref
		return websocket.Reply{}, err
	}}}})
	p := f.connect("1")
	p.join(1, "room:a")
	p.send(`["1",null,"room:a","no_ref",{}]`)
	p.send(`["1","2","room:a","slow",{}]`)
	p.send(`["1","3","room:a","slow",{}]`)
	first, second := got(t, refs), got(t, refs)
	if err := second.Reply(websocket.Fail(map[string]int{"n": 2})); err != nil {
		t.Error(err)
	}
	if err := first.Reply(websocket.OK(map[string]int{"n": 1})); err != nil {
		t.Error(err)
	}
	p.expect(`["1","3","room:a","phx_reply",{"response":{"n":2},"status":"error"}]`)
	p.expect(`["1","2","room:a","phx_reply",{"response":{"n":1},"status":"ok"}]`)
	if err := first.Reply(websocket.Reply{}); !errors.Is(err, websocket.ErrNoRef) {
		t.Errorf("empty reply: %v", err)
	}
	p.send(`["1","4","room:a","phx_leave",{}]`)
	p.expect(`["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	p.expect(`["1","1","room:a","phx_close",{}]`)
	eventually(t, func() bool { return errors.Is(first.Reply(websocket.OK(nil)), websocket.ErrNotJoined) })
}

// eventually waits for something that another goroutine is about to do.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon()); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func TestOtherTopics(t *testing.T) {
	a := &app{}
	a.join = func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		return nil, errors.Join(ch.Subscribe("news"), ch.Subscribe("news"))
	}
	a.info = func(_ context.Context, ch *websocket.Channel, msg any) error {
		m := msg.(*pubsub.Message)
		if m.Event == "stop" {
			ch.Unsubscribe("news")
			return ch.Push("stopped", nil)
		}
		return ch.Push(m.Topic+":"+m.Event, m.Payload)
	}
	f := start(t, setup{channels: map[string]*app{"room:*": a}})
	p := f.connect("1")
	p.join(1, "room:a")
	if n := f.broadcast("news", 7, 8); n != 1 {
		t.Errorf("receivers %d", n)
	}
	p.expect(`["1",null,"room:a","news:e",{"n":7}]`)
	if _, err := f.endpoint.Broadcast(t.Context(), "news", "stop", nil); err != nil {
		t.Fatal(err)
	}
	p.expect(`["1",null,"room:a","stopped",{}]`)
	if n := f.broadcast("news", 7, 8); n != 0 {
		t.Errorf("receivers %d", n)
	}
}

func TestACrashEndsThatChannelOnly(t *testing.T) {
	reasons := make(chan error, 10)
	bad := &app{
		intercept: []string{"boom"},
		in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
			var p *app
			_ = p.intercept // panics
			return websocket.Reply{}, nil
		},
		out: func(context.Context, *websocket.Channel, string, websocket.Payload) error { return errors.New("out") },
		info: func(_ context.Context, _ *websocket.Channel, msg any) error {
			runtime.Goexit()
			return nil
		},
		terminate: func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason; panic("again") },
	}
	bad.join = func(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
		if ch.Topic() == "bad:info" {
			return nil, ch.Send(1)
		}
		return nil, nil
	}
	f := start(t, setup{channels: map[string]*app{"bad:*": bad, "good:*": {}}})
	p := f.connect("1")
	p.join(1, "good:a")
	crash := func(n int, topic string, provoke func()) {
		t.Helper()
		p.join(n, topic)
		provoke()
		p.expect(fmt.Sprintf(`["%d","%d",%q,"phx_error",{"reason":"channel_crash"}]`, n, n, topic))
		var crash *websocket.CrashError
		if err := got(t, reasons); !errors.As(err, &crash) || crash.Error() == "" {
			t.Errorf("%s: reason %v", topic, err)
		}
	}
	crash(2, "bad:in", func() { p.send(`["2","9","bad:in","x",{}]`) })
	crash(3, "bad:out", func() {
		if _, err := f.endpoint.Broadcast(t.Context(), "bad:out", "boom", nil); err != nil {
			t.Error(err)
		}
	})
	crash(4, "bad:info", func() {})
	p.send(`["1","10","good:a","echo",{"still":"here"}]`)
	p.expect(`["1","10","good:a","phx_reply",{"response":{"still":"here"},"status":"ok"}]`)
	eventually(t, func() bool { return f.endpoint.Snapshot().Channels == 1 })
}

func TestHandlersNeverOverlap(t *testing.T) {
	var inside, calls int // without a lock: the race detector is the test
	step := func() {
		inside++
		if inside != 1 {
			t.Error("two handlers at once")
		}
		calls++
		inside--
	}
	a := &app{intercept: []string{"out"}}
	a.in = func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
		step()
		return websocket.OK(nil), nil
	}
	a.out = func(context.Context, *websocket.Channel, string, websocket.Payload) error { step(); return nil }
	a.info = func(context.Context, *websocket.Channel, any) error { step(); return nil }
	handles := make(chan *websocket.Channel, 1)
	a.join = func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		step()
		handles <- ch
		return nil, nil
	}
	a.terminate = func(context.Context, *websocket.Channel, error) { step() }
	f := start(t, setup{channels: map[string]*app{"room:*": a}, mount: websocket.MountConfig{Limits: websocket.Limits{Inbox: 1000}}})
	p := f.connect("1")
	p.join(1, "room:a")
	ch := got(t, handles)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 100 {
				_ = ch.Send("x") // refused when too much waits
				_, _ = f.endpoint.Broadcast(context.Background(), "room:a", "out", nil)
			}
		})
	}
	for n := range 100 {
		p.send(`["1","%d","room:a","x",{}]`, n+2)
	}
	for n := range 100 {
		p.expect(fmt.Sprintf(`["1","%d","room:a","phx_reply",{"response":{},"status":"ok"}]`, n+2))
	}
	group.Wait()
	p.send(`["1","200","room:a","phx_leave",{}]`)
	p.expect(`["1","200","room:a","phx_reply",{"response":{},"status":"ok"}]`)
}

// TestNothingIsLostBetweenSubscriptionAndReply broadcasts all the time while
// clients join: what they get after the join reply has no gap.
func TestNothingIsLostBetweenSubscriptionAndReply(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 1 << 16, Bytes: 64 << 20}}})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = f.endpoint.Broadcast(ctx, "room:a", "e", map[string]int{"n": n})
			runtime.Gosched()
		}
	})
	for range 20 {
		p := f.connect("1")
		p.join(1, "room:a") // fails if a broadcast comes before the reply
		last := -1
		for range 20 {
			var n int
			if _, err := fmt.Sscanf(p.read(), `[null,null,"room:a","e",{"n":%d}]`, &n); err != nil {
				t.Fatal(err)
			}
			if last >= 0 && n != last+1 {
				t.Fatalf("%d after %d", n, last)
			}
			last = n
		}
		_ = p.ws.CloseNow()
	}
}

func TestReasonsOfTermination(t *testing.T) {
	reasons := make(chan error, 1)
	a := &app{terminate: func(ctx context.Context, ch *websocket.Channel, reason error) {
		if ch.Context().Err() == nil || ctx.Err() != nil {
			t.Error("the channel's context should have ended, Terminate's not")
		}
		reasons <- reason
	}}
	a.in = func(_ context.Context, ch *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
		return websocket.OK(nil), fmt.Errorf("wrapped: %w", websocket.ErrStopped)
	}
	f := start(t, setup{channels: map[string]*app{"room:*": a}, socket: websocket.SocketConfig[user]{ID: func(u user) string { return "users:" + u.ID }}})
	tests := []struct {
		want error
		end  func(p *peer)
	}{
		{websocket.ErrLeft, func(p *peer) { p.send(`["1","2","room:a","phx_leave",{}]`) }},
		{websocket.ErrStopped, func(p *peer) { p.send(`["1","2","room:a","stop",{}]`) }},
		{websocket.ErrDuplicateJoin, func(p *peer) {
			p.send(`["2","2","room:a","phx_join",{}]`)
			for !strings.Contains(p.read(), "phx_reply") {
			}
		}},
		{websocket.ErrClosed, func(p *peer) { _ = p.ws.Close(client.StatusNormalClosure, "") }},
		{websocket.ErrClosed, func(p *peer) { _ = p.ws.CloseNow() }},
		{websocket.ErrDisconnected, func(p *peer) { _, _ = f.endpoint.Disconnect(t.Context(), "users:1") }},
		{websocket.ErrShutdown, func(p *peer) { go func() { _ = f.endpoint.Close(context.Background()) }() }},
	}
	for _, test := range tests {
		p := f.connect("1")
		p.join(1, "room:a")
		test.end(p)
		if reason := got(t, reasons); !errors.Is(reason, test.want) {
			t.Errorf("reason %v, want %v", reason, test.want)
		}
		_ = p.ws.CloseNow()
		if test.want == websocket.ErrDuplicateJoin { // the new one, which may end after its connection
			if reason := got(t, reasons); !errors.Is(reason, websocket.ErrClosed) {
				t.Errorf("of the new join: reason %v, want %v", reason, websocket.ErrClosed)
			}
		}
		eventually(t, func() bool { return f.endpoint.Snapshot().Connections == 0 })
	}
}

func TestASlowHandlerHoldsUpItsOwnConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		slow := &app{in: func(context.Context, *websocket.Channel, string, websocket.Payload) (websocket.Reply, error) {
			<-release
			return websocket.OK(nil), nil
		}}
		f := start(t, setup{pipes: true, channels: map[string]*app{"slow:*": slow, "room:*": {}}, mount: websocket.MountConfig{Limits: websocket.Limits{Inbox: 4}}})
		a, b := f.connect("a"), f.connect("b")
		a.join(1, "slow:a")
		b.join(1, "room:a")
		sent := make(chan int)
		go func() {
			for n := range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := a.ws.Write(ctx, client.MessageText, fmt.Appendf(nil, `["1","%d","slow:a","x",{}]`, n)); err != nil {
					t.Error(err)
				}
				cancel()
				sent <- n
			}
		}()
		taken := 0
		for waiting := true; waiting; {
			synctest.Wait()
			select {
			case <-sent:
				taken++
			default:
				waiting = false
			}
		}
		// One in hand, four in the inbox, one held by the reader.
		if taken != 6 {
			t.Errorf("%d messages were read, want 6", taken)
		}
		b.send(`["1","2","room:a","x",{}]`)
		b.expect(`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		close(release)
		for n := range 20 {
			if n >= taken {
				<-sent
			}
			a.expect(fmt.Sprintf(`["1","%d","slow:a","phx_reply",{"response":{},"status":"ok"}]`, n))
		}
	})
}

func TestContextOfAChannel(t *testing.T) {
	handles := make(chan *websocket.Channel, 1)
	f := start(t, setup{channels: map[string]*app{"room:*": {join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		handles <- ch
		return nil, nil
	}}}})
	p := f.connect("1")
	p.join(1, "room:a")
	ch := got(t, handles)
	called := make(chan string, 3)
	context.AfterFunc(ch.Context(), func() { called <- "after" })
	stop := context.AfterFunc(ch.Context(), func() { called <- "stopped" })
	if !stop() || stop() {
		t.Error("stop tells whether it came in time")
	}
	child, cancel := context.WithCancel(ch.Context())
	defer cancel()
	if _, ok := ch.Context().Deadline(); ok || ch.Context().Err() != nil || ch.Context().Value("x") != nil {
		t.Error("the context of an open channel")
	}
	_ = p.ws.CloseNow()
	<-child.Done()
	<-ch.Context().Done()
	if what := got(t, called); what != "after" || ch.Context().Err() != context.Canceled {
		t.Errorf("%s, %v", what, ch.Context().Err())
	}
	late := make(chan string, 1)
	stop = context.AfterFunc(ch.Context(), func() { late <- "late" })
	if got(t, late) != "late" || stop() {
		t.Error("a function for a channel that has ended runs at once")
	}
}
