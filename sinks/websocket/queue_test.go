package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// signals notes the calls of QueueFull and QueueDrained.
type signals struct {
	mu   sync.Mutex
	list []string
}

func (s *signals) note(what string) func(user) {
	return func(u user) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, what+" "+u.ID)
	}
}

func (s *signals) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.list)
}

func slowSetup(sig *signals, q websocket.QueueConfig) setup {
	return setup{
		pipes:    true,
		channels: map[string]*app{"room:*": {}, "user:*": timedApp()},
		socket:   websocket.SocketConfig[user]{QueueFull: sig.note("full"), QueueDrained: sig.note("drained")},
		mount:    websocket.MountConfig{Queue: q},
	}
}

func (f *fixture) broadcast(topic string, from, to int) (receivers int) {
	f.t.Helper()
	for n := from; n < to; n++ {
		got, err := f.endpoint.Broadcast(context.Background(), topic, "e", map[string]int{"n": n})
		if err != nil {
			f.t.Fatal(err)
		}
		receivers += got
	}
	return receivers
}

// closedSlow compares a count of websocket.slow_closed.
func (f *fixture) closedSlow(reason string, want float64) {
	f.t.Helper()
	if got := f.metrics.get("websocket.slow_closed,reason:" + reason); got != want {
		f.t.Errorf("websocket.slow_closed %v because of %s, want %v", got, reason, want)
	}
}

// TestTheBudgetSparesReplies pins that a client with long replies is not closed for
// the queues of others, which hold broadcasts.
func TestTheBudgetSparesReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{
			pipes: true, channels: map[string]*app{"room:*": replyOf(40 << 10), "slow": {}},
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{QueuedBytes: 2 << 20}},
			mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 4 << 20}},
		})
		slow, asks := f.raw(), f.raw()
		slow.frame(final|text, []byte(`["1","1","slow","phx_join",{}]`))
		if _, _, err := slow.next(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for n := range 60 {
				asks.frame(final|text, fmt.Appendf(nil, `["%d","%d","room:%d","phx_join",{}]`, n, n, n))
			}
		}()
		synctest.Wait()
		if s := f.endpoint.Snapshot(); s.QueuedBytes < 1<<20 || s.QueuedBytes > 1<<20+50<<10 {
			t.Fatalf("%+v, want half of the bound", s)
		}
		for range 21 { // as many as fit beside the replies
			if f.large("slow", 50_000); f.metrics.get("websocket.slow_closed,reason:budget") > 0 {
				break
			}
			synctest.Wait()
		}
		f.closedSlow("budget", 1)
		for n := range 60 {
			if first, _, err := asks.next(); err != nil || first != final|text {
				t.Fatalf("after %d replies: %x %v", n, first, err)
			}
		}
	})
}

func TestSlowClientIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sig := &signals{}
		f := start(t, slowSetup(sig, websocket.QueueConfig{Events: 8}))
		p := f.connect("1")
		p.join(1, "room:a")
		synctest.Wait()
		for range 3 {
			f.broadcast("room:a", 0, 6)
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.QueuedFrames != 6 || len(s.Slow) != 0 {
				t.Fatalf("before: %+v", s)
			}
			f.broadcast("room:a", 6, 7)
			synctest.Wait()
			s := f.endpoint.Snapshot()
			if s.QueuedFrames != 7 || s.SlowCount != 1 || s.Slow[0].Frames != 7 || s.Slow[0].Socket != "Test" || s.QueuedBytes != int64(s.Slow[0].Bytes) {
				t.Fatalf("full: %+v", s)
			}
			for n := range 7 {
				p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
			}
			synctest.Wait()
		}
		if s := f.endpoint.Snapshot(); s.QueuedFrames != 0 || s.QueuedBytes != 0 || s.SlowCount != 0 {
			t.Errorf("after: %+v", s)
		}
		if want := "[full 1 drained 1 full 1 drained 1 full 1 drained 1]"; sig.String() != want {
			t.Errorf("got %s, want %s", sig, want)
		}
		if n := f.metrics.get("websocket.queue_full"); n != 3 {
			t.Errorf("websocket.queue_full %v, want 3", n)
		}
	})
}

func TestBytesCountToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sig := &signals{}
		f := start(t, slowSetup(sig, websocket.QueueConfig{Bytes: 1000, Overflow: websocket.DropNewest}))
		p := f.connect("1")
		p.join(1, "room:a")
		synctest.Wait()
		if n := f.broadcast("room:a", 0, 100); n < 20 || n > 33 {
			t.Errorf("%d frames of 31 bytes in 1000 bytes", n)
		}
		synctest.Wait()
		if sig.String() != "[full 1]" {
			t.Errorf("got %s", sig)
		}
	})
}

func TestDropNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 4, Overflow: websocket.DropNewest}))
		p := f.connect("1")
		p.join(1, "room:a")
		synctest.Wait()
		p.join(2, "user:1")
		synctest.Wait()
		if n := f.broadcast("room:a", 0, 7); n != 4 {
			t.Errorf("receivers %d, want 4", n)
		}
		done := make(chan outcome, 1)
		if _, err := f.endpoint.Broadcast(t.Context(), "user:1", "timed", timedPayload(1, done)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if o := <-done; !errors.Is(o.err, websocket.ErrQueueFull) {
			t.Errorf("hook: %v", o.err)
		}
		// Replies may use twice the room, and the channel is still there.
		p.send(`["2","9","user:1","echo",{}]`)
		for n := range 4 {
			p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
		}
		p.expect(`["2","9","user:1","phx_reply",{"response":{},"status":"ok"}]`)
		if n := f.metrics.get("websocket.discarded,reason:queue_full"); n != 4 {
			t.Errorf("websocket.discarded %v, want 4", n)
		}
	})
}

func TestDropOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 4, Overflow: websocket.DropOldest}))
		p := f.connect("1")
		p.join(1, "user:1")
		synctest.Wait()
		done := make(chan outcome, 10)
		for n := range 8 {
			got, err := f.endpoint.Broadcast(t.Context(), "user:1", "timed", timedPayload(n, done))
			if got != 1 || err != nil {
				t.Fatal(got, err)
			}
			synctest.Wait()
		}
		// 0 is being written, 5 to 7 wait: 1 to 4 had to give way, in order.
		for n := 1; n <= 4; n++ {
			if o := <-done; o.n != n || !errors.Is(o.err, websocket.ErrQueueFull) {
				t.Errorf("got %+v, want %d given up", o, n)
			}
		}
		for _, n := range []int{0, 5, 6, 7} {
			p.expect(fmt.Sprintf(`["1",null,"user:1","push",{"n":%d}]`, n))
		}
	})
}

func TestCloseSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := make(chan error, 1)
		s := slowSetup(&signals{}, websocket.QueueConfig{Events: 4})
		s.channels["room:*"].terminate = func(_ context.Context, _ *websocket.Channel, reason error) { reasons <- reason }
		f := start(t, s)
		p := f.connect("1")
		p.join(1, "room:a")
		synctest.Wait()
		if n := f.broadcast("room:a", 0, 5); n != 4 {
			t.Errorf("receivers %d, want 4", n)
		}
		synctest.Wait()
		if n := f.broadcast("room:a", 0, 1); n != 0 {
			t.Errorf("receivers %d after the end, want 0", n)
		}
		if err := <-reasons; !errors.Is(err, websocket.ErrQueueFull) {
			t.Errorf("reason %v", err)
		}
		f.closedSlow("queue", 1)
		if code := p.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sig := &signals{}
		f := start(t, slowSetup(sig, websocket.QueueConfig{Events: 4, Overflow: websocket.DropNewest}))
		p := f.connect("1")
		p.join(1, "user:1")
		synctest.Wait()
		done := make(chan outcome, 10)
		begin := time.Now()
		for n := range 4 {
			if _, err := f.endpoint.Broadcast(t.Context(), "user:1", "timed", timedPayload(n, done)); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			if o := <-done; o.err == nil {
				t.Errorf("%d was written", o.n)
			}
		}
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("given up after %v, want 5 s", d)
		}
		synctest.Wait()
		f.closedSlow("write", 1)
		if want := "[full 1 drained 1]"; sig.String() != want {
			t.Errorf("got %s, want %s", sig, want)
		}
		if s := f.endpoint.Snapshot(); s.Connections != 0 || s.Channels != 0 || s.QueuedBytes != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

func TestProcessWideBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSetup(&signals{}, websocket.QueueConfig{})
		s.endpoint.Limits.QueuedBytes = 4000
		f := start(t, s)
		slow, fast := f.connect("slow"), f.connect("fast")
		slow.join(1, "room:slow")
		fast.join(1, "room:fast")
		synctest.Wait()
		f.broadcast("room:fast", 0, 20)
		f.broadcast("room:slow", 0, 150)
		synctest.Wait()
		if snap := f.endpoint.Snapshot(); snap.QueuedBytes > 4000 {
			t.Errorf("%d bytes are queued", snap.QueuedBytes)
		}
		for n := range 20 {
			fast.expect(fmt.Sprintf(`[null,null,"room:fast","e",{"n":%d}]`, n))
		}
		if code := slow.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
		f.closedSlow("budget", 1)
	})
}

// TestStalledSocketsKeepNobodyWaiting runs over real sockets, which the
// endpoint's writers serve without blocking.
func TestStalledSocketsKeepNobodyWaiting(t *testing.T) {
	f := start(t, setup{
		channels: map[string]*app{"room:*": {}},
		mount:    websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4096, Bytes: 64 << 20, Overflow: websocket.DropNewest}, Timeouts: websocket.Timeouts{Write: time.Minute}},
	})
	var stalled []*peer
	for range 8 {
		p := f.connect("stalled")
		p.join(1, "room:stalled")
		stalled = append(stalled, p)
	}
	p := f.connect("1")
	p.join(1, "room:a")
	big := map[string]string{"x": strings.Repeat("x", 100_000)}
	for range 100 {
		if n, err := f.endpoint.Broadcast(t.Context(), "room:stalled", "e", big); n != len(stalled) || err != nil {
			t.Fatal(n, err)
		}
	}
	for n := range 100 {
		f.broadcast("room:a", n, n+1)
		p.expect(fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, n))
	}
	// And the stalled ones get all, in whole, as soon as they read.
	for range 100 {
		if got := len(stalled[0].read()); got < 100_000 {
			t.Fatalf("frame of %d bytes", got)
		}
	}
	for _, s := range stalled {
		_ = s.ws.CloseNow()
	}
}

var _ net.Listener = (*pipes)(nil)
