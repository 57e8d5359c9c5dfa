package websocket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// replyOf returns a join that replies with n bytes, and an event that does so.
func replyOf(n int) *app {
	big := map[string]string{"state": strings.Repeat("x", n)}
	return &app{
		join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) { return big, nil },
		in: func(_ context.Context, _ *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			if event == "big" {
				return websocket.OK(big), nil
			}
			return websocket.OK(p), nil
		},
	}
}

// refOf returns the ref and the event of a message.
func refOf(t *testing.T, message []byte) (ref, event string) {
	t.Helper()
	var m []any
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	ref, _ = m[1].(string)
	event, _ = m[3].(string)
	return ref, event
}

// TestRepliesHoldTheirClient pins that a client whose replies fill its queue is
// read from more slowly and never closed: 60 joins at once, with 40 KiB for each,
// for a client that reads 4 MiB a second.
func TestRepliesHoldTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, channels: map[string]*app{"room:*": replyOf(40 << 10)}})
		c := f.raw()
		var all []byte
		for n := range 60 {
			all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["%d","%d","room:%d","phx_join",{}]`, n, n, n))...)
		}
		go c.write(all)
		most := int64(0)
		for n := range 60 {
			pass(10 * time.Millisecond)
			synctest.Wait()
			most = max(most, f.endpoint.Snapshot().QueuedBytes)
			first, message, err := c.next()
			if err != nil || first != final|text {
				t.Fatalf("after %d replies: %x %v", n, first, err)
			}
			if ref, _ := refOf(t, message); ref != fmt.Sprint(n) {
				t.Fatalf("reply to %s, want %d", ref, n)
			}
		}
		if most > 1<<20+50<<10 || most < 1<<20 {
			t.Errorf("%d bytes were queued at the most, want one reply more than the bound", most)
		}
		if n := f.metrics.get("websocket.client_held"); n != 3 { // each time until half of the bound is free
			t.Errorf("websocket.client_held %v, want 3", n)
		}
		synctest.Wait()
		if s := f.endpoint.Snapshot(); s.Channels != 60 || s.QueuedBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRepliesOfAllAreBounded pins that clients which together ask for more than all
// queues may hold wait for each other: none is closed for its replies.
func TestRepliesOfAllAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, budget = 20, 4 << 20
		f := start(t, setup{
			pipes: true, channels: map[string]*app{"room:*": replyOf(40 << 10)},
			endpoint: websocket.EndpointConfig{Limits: websocket.EndpointLimits{QueuedBytes: budget}},
		})
		var group sync.WaitGroup
		for range clients {
			c := f.raw()
			var all []byte
			for n := range 40 {
				all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["%d","%d","room:%d","phx_join",{}]`, n, n, n))...)
			}
			go c.write(all)
			group.Go(func() {
				for n := range 40 {
					pass(10 * time.Millisecond)
					if first, _, err := c.next(); err != nil || first != final|text {
						t.Errorf("after %d replies: %x %v", n, first, err)
						return
					}
				}
			})
		}
		most := int64(0)
		for range 100 {
			synctest.Wait()
			most = max(most, f.endpoint.Snapshot().QueuedBytes)
			pass(5 * time.Millisecond)
		}
		group.Wait()
		if most < budget/2 || most > budget/2+clients*50<<10 {
			t.Errorf("%d bytes were queued at the most, want half the bound and one reply for each client", most)
		}
	})
}

// TestEchoesOverTCP pins the same over real sockets: 1,000 pushes in one write, for
// a client that does not read meanwhile.
func TestEchoesOverTCP(t *testing.T) {
	f := start(t, setup{channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Limits: websocket.Limits{FrameRate: 10_000}}})
	c := f.raw()
	all := maskedFrame(final|text, []byte(`["1","-1","room:a","phx_join",{}]`))
	pad := strings.Repeat("x", 4000)
	for n := range 1000 {
		all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["1","%d","room:a","echo",{"pad":%q}]`, n, pad))...)
	}
	var group sync.WaitGroup
	group.Go(func() { c.write(all) })
	for n := -1; n < 1000; n++ {
		_, message, err := c.next()
		if err != nil {
			t.Fatalf("before %d: %v", n, err)
		}
		if ref, _ := refOf(t, message); ref != fmt.Sprint(n) {
			t.Fatalf("got %s, want %d", ref, n)
		}
	}
	group.Wait()
}

// TestEchoesHoldTheirClient pins the same for the events of one channel, whose
// handler waits too.
func TestEchoesHoldTheirClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{
			pipes: true, channels: map[string]*app{"room:*": {}},
			mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 16}},
		})
		c := f.raw()
		all := maskedFrame(final|text, []byte(`["1","join","room:a","phx_join",{}]`))
		for n := range 1000 {
			all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["1","%d","room:a","echo",{}]`, n))...)
		}
		go c.write(all)
		for n := -1; n < 1000; n++ {
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.QueuedFrames > 17 {
				t.Fatalf("%+v, want one reply more than the bound", s)
			}
			want := fmt.Sprint(n)
			if n < 0 {
				want = "join"
			}
			_, message, err := c.next()
			if err != nil {
				t.Fatalf("before %s: %v", want, err)
			}
			if ref, _ := refOf(t, message); ref != want {
				t.Fatalf("got %s, want %s", ref, want)
			}
		}
	})
}

// TestBroadcastsWhileHeld pins that replies take no room of broadcasts, and that
// those keep their policy: a client is not closed for what it has asked for.
func TestBroadcastsWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 4}))
		c := f.raw()
		all := maskedFrame(final|text, []byte(`["1","join","room:a","phx_join",{}]`))
		for n := range 20 {
			all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["1","%d","room:a","echo",{}]`, n))...)
		}
		go c.write(all)
		synctest.Wait()
		if n := f.broadcast("room:a", 0, 4); n != 4 {
			t.Errorf("%d of 4 taken", n)
		}
		replies, broadcasts := 0, 0
		for range 25 {
			_, message, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if _, event := refOf(t, message); event == "e" {
				broadcasts++
			} else {
				replies++
			}
			synctest.Wait()
		}
		if replies != 21 || broadcasts != 4 {
			t.Errorf("%d replies and %d broadcasts, want 21 and 4", replies, broadcasts)
		}
		f.broadcast("room:a", 0, 5)
		if code := c.closeCode(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
	})
}

// TestHeldClientIsClosed pins that a held client that takes nothing is disconnected,
// and that the endpoint can be closed meanwhile.
func TestHeldClientIsClosed(t *testing.T) {
	for _, how := range []string{"write timeout", "close", "rejoin"} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 4}))
			c := f.raw()
			all := maskedFrame(final|text, []byte(`["1","join","room:a","phx_join",{}]`))
			for n := range 50 {
				all = append(all, maskedFrame(final|text, fmt.Appendf(nil, `["1","%d","room:a","echo",{}]`, n))...)
			}
			if how == "rejoin" { // the old channel is held when the new join comes
				all = append(all, maskedFrame(final|text, []byte(`["2","2","room:a","phx_join",{}]`))...)
			}
			begin := time.Now()
			go c.write(all)
			pass(time.Second)
			switch how {
			case "close":
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := f.endpoint.Close(ctx); err != nil {
					t.Error(err)
				}
			case "rejoin":
				for {
					_, message, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					if ref, event := refOf(t, message); ref == "2" && event == "phx_reply" {
						break
					}
				}
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("joined again after %v", d)
				}
				return
			default:
				pass(4100 * time.Millisecond)
			}
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.Connections != 0 || s.Channels != 0 || s.QueuedBytes != 0 {
				t.Errorf("%s: after %v: %+v", how, time.Since(begin), s)
			}
		})
	}
}

// TestHeartbeatsGoFirst pins that replies to heartbeats and pongs come before what
// waits, also while other messages are held.
func TestHeartbeatsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 8}))
		c := f.raw()
		c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		f.broadcast("room:a", 0, 1)
		synctest.Wait()
		f.broadcast("room:a", 1, 8)
		for n := range 8 { // replies after the broadcasts
			c.frame(final|text, fmt.Appendf(nil, `["1","r%d","room:a","echo",{}]`, n))
		}
		synctest.Wait()
		c.frame(final|text, []byte(`[null,"h1","phoenix","heartbeat",{}]`))
		c.frame(final|0x9, []byte("ping")) // a ping
		c.frame(final|text, []byte(`[null,"h2","phoenix","heartbeat",{}]`))
		go c.frame(final|text, []byte(`["1","r8","room:a","echo",{}]`))
		synctest.Wait()
		var got []string
		for range 20 {
			first, message, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if first == final|0xa {
				got = append(got, "pong")
				continue
			}
			ref, event := refOf(t, message)
			got = append(got, ref+event[:1])
			synctest.Wait()
		}
		// The first broadcast was being written.
		want := "e h1p pong h2p e e e e e e e r0p r1p r2p r3p r4p r5p r6p r7p r8p"
		if strings.Join(got, " ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
		}
	})
}

// TestHeldOverLongPolling pins that the messages of a POST are held too, until a GET
// takes their replies.
func TestHeldOverLongPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowSetup(&signals{}, websocket.QueueConfig{Events: 4})
		s.mount.LongPoll = &websocket.LongPollConfig{}
		f := start(t, s)
		p := f.poll("vsn=2.0.0&user=1")
		lines := []string{`["1","join","room:a","phx_join",{}]`}
		for n := range 50 {
			lines = append(lines, fmt.Sprintf(`["1","%d","room:a","echo",{}]`, n))
		}
		var group sync.WaitGroup
		group.Go(func() {
			if status := p.post(lines...); status != 200 {
				t.Errorf("POST: %d", status)
			}
		})
		synctest.Wait()
		if s := f.endpoint.Snapshot(); s.QueuedFrames != 4 {
			t.Errorf("%d frames are queued, want the bound", s.QueuedFrames)
		}
		replies := 0
		for replies < 51 {
			a := p.get()
			if a.Status != 200 {
				t.Fatalf("GET: %d after %d replies", a.Status, replies)
			}
			replies += len(a.Messages)
			synctest.Wait()
		}
		group.Wait()
	})
}

// TestCloseGoesFirst pins that a client which closes gets the replies to what it has
// sent and then the close frame, and not the events that still wait.
func TestCloseGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, slowSetup(&signals{}, websocket.QueueConfig{Events: 8}))
		c := f.raw()
		c.frame(final|text, []byte(`["1","1","room:a","phx_join",{}]`))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		f.broadcast("room:a", 0, 1) // is being written
		synctest.Wait()
		f.broadcast("room:a", 1, 8)
		c.frame(final|text, []byte(`["1","r1","room:a","echo",{}]`))
		synctest.Wait()
		c.frame(final|0x8, []byte("\x03\xe8")) // 1000
		synctest.Wait()                        // it is handled before the client reads
		for _, want := range []string{"e", "r1", "1000"} {
			first, message, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(int(message[0])<<8 | int(message[1]))
			if first == final|text {
				ref, event := refOf(t, message)
				if got = ref; ref == "" {
					got = event
				}
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if n := f.metrics.get("websocket.discarded,reason:closed"); n != 7 {
			t.Errorf("websocket.discarded %v, want 7", n)
		}
	})
}
