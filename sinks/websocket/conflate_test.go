package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// price is a payload of which only the latest for each item matters.
type price struct {
	Item  string `json:"item"`
	Cents int    `json:"cents"`
}

func startPrices(t *testing.T) (*fixture, *peer, chan outcome) {
	done := make(chan outcome, 100)
	f := start(t, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 8}}}, func(f *fixture) {
		f.socket.ChannelWith("prices", websocket.ChannelConfig{
			Overflow: websocket.DropNewest, Intercept: []string{"own"},
			Conflate: func(_ string, payload websocket.Payload) string {
				var p price
				if err := payload.Decode(&p); err != nil {
					t.Error(err)
				}
				return p.Item
			},
		}, func(user, string) websocket.Handler {
			return &app{out: func(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
				var p price
				if err := payload.Decode(&p); err != nil {
					return err
				}
				return ch.PushWritten("price", p, func(at time.Time, err error) { done <- outcome{p.Cents, at, err} })
			}}
		})
		f.socket.Channel("room", func(user, string) websocket.Handler { return &app{} })
	})
	p := f.connect("1")
	p.join(1, "prices")
	synctest.Wait()
	return f, p, done
}

func TestConflation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p, _ := startPrices(t)
		for n := range 50 {
			for _, item := range []string{"a", "b", "c"} {
				if got, err := f.endpoint.Broadcast(t.Context(), "prices", "price", price{item, n}); got != 1 || err != nil {
					t.Fatal(got, err)
				}
				synctest.Wait()
			}
		}
		if got, err := f.endpoint.Broadcast(t.Context(), "prices", "news", map[string]int{"n": 1}); got != 1 || err != nil {
			t.Fatal(got, err)
		}
		if s := f.endpoint.Snapshot(); s.QueuedFrames != 5 {
			t.Errorf("%d frames wait, want the one being written, three prices and the news", s.QueuedFrames)
		}
		p.expect(`[null,null,"prices","price",{"item":"a","cents":0}]`) // was being written
		// Then the latest of each, in the order of their first arrival.
		for _, item := range []string{"b", "c", "a"} {
			p.expect(fmt.Sprintf(`[null,null,"prices","price",{"item":%q,"cents":49}]`, item))
		}
		p.expect(`[null,null,"prices","news",{"n":1}]`)
		synctest.Wait()
		if s := f.endpoint.Snapshot(); s.QueuedFrames != 0 || s.QueuedBytes != 0 {
			t.Errorf("%+v", s)
		}
		if n := f.metrics.get("websocket.discarded,reason:conflated"); n != 146 {
			t.Errorf("%v conflated, want 146", n)
		}
	})
}

func TestConflatedHooksAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p, done := startPrices(t)
		for n := range 4 {
			if _, err := f.endpoint.Broadcast(t.Context(), "prices", "own", price{"a", n}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for n := 1; n < 3; n++ {
			if o := <-done; o.n != n || !errors.Is(o.err, websocket.ErrConflated) {
				t.Errorf("%+v, want %d conflated", o, n)
			}
		}
		for _, n := range []int{0, 3} {
			p.expect(fmt.Sprintf(`["1",null,"prices","price",{"item":"a","cents":%d}]`, n))
			if o := <-done; o.n != n || o.err != nil {
				t.Errorf("%+v, want %d written", o, n)
			}
		}
	})
}

func TestPolicyOfAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p, _ := startPrices(t)
		p.join(2, "room")
		synctest.Wait()
		sum := 0
		for n := range 20 {
			got, err := f.endpoint.Broadcast(t.Context(), "prices", "news", map[string]int{"n": n})
			if err != nil {
				t.Fatal(err)
			}
			sum += got
		}
		if sum != 8 {
			t.Errorf("%d were taken, want 8", sum)
		}
		p.send(`[null,"1","phoenix","heartbeat",{}]`) // still connected
		f.broadcast("room", 0, 1)                     // the mount's policy closes
		if code := p.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
	})
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	s.ChannelWith("x", websocket.ChannelConfig{Overflow: 9}, func(user, string) websocket.Handler { return nil })
	var bad *websocket.OptionError
	if err := e.Mount("/x", s, websocket.MountConfig{}); !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}

// TestConflationKeepsToTheBounds pins that longer values in the place of shorter ones
// exceed neither the queue nor all queues together.
func TestConflationKeepsToTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue = 64 << 10
		f := start(t, setup{
			pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: queue}},
		}, func(f *fixture) {
			f.socket.ChannelWith("state", websocket.ChannelConfig{
				Overflow: websocket.DropNewest,
				Conflate: func(_ string, payload websocket.Payload) string {
					var state struct{ Key string }
					if err := payload.Decode(&state); err != nil {
						t.Error(err)
					}
					return state.Key
				},
			}, func(user, string) websocket.Handler { return &app{} })
		})
		p := f.connect("1")
		p.join(1, "state")
		synctest.Wait()
		for _, pad := range []int{10, 10, 1000, 20_000, 60_000, 200_000, 100} {
			for key := range 100 {
				value := map[string]string{"Key": fmt.Sprint(key), "pad": strings.Repeat("y", pad)}
				_, err := f.endpoint.Broadcast(t.Context(), "state", "v", value)
				var large *websocket.TooLargeError
				if errors.As(err, &large) != (pad > queue) {
					t.Fatalf("%d bytes: %v", pad, err)
				}
				if s := f.endpoint.Snapshot(); s.QueuedBytes > queue {
					t.Fatalf("%d bytes are queued, want %d at most", s.QueuedBytes, queue)
				}
			}
		}
		if s := f.endpoint.Snapshot(); s.Connections != 1 || s.QueuedFrames < 50 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAFastClientIsSlowed holds row S15: 2,000 messages at 1,000 a second with
// a burst of a second take one second.
func TestAFastClientIsSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 10_000}}})
		c := f.raw()
		begin := time.Now()
		go func() {
			for n := range 2000 {
				c.frame(0x81, fmt.Appendf(nil, `[null,"%d","phoenix","heartbeat",{}]`, n))
			}
		}()
		for range 2000 {
			if _, _, err := c.next(); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d < 950*time.Millisecond || d > 1050*time.Millisecond {
			t.Errorf("took %v, want 1 s", d)
		}
	})
}

// dedupe is a handler that gathers numbers for a second and then pushes each of
// them once, in the order of first arrival.
type dedupe struct {
	waiting []int
	seen    map[int]bool
}

func (d *dedupe) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return nil, nil
}

func (d *dedupe) HandleOut(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
	var number struct {
		N int `json:"n"`
	}
	if err := payload.Decode(&number); err != nil {
		return err
	}
	n := number.N
	if d.seen == nil {
		d.seen = make(map[int]bool)
		ch.SendAfter(time.Second, "drain")
	}
	if !d.seen[n] {
		d.seen[n] = true
		d.waiting = append(d.waiting, n)
	}
	return nil
}

func (d *dedupe) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	for _, n := range d.waiting {
		if err := ch.Push("number", map[string]int{"value": n}); err != nil {
			return err
		}
	}
	d.waiting, d.seen = nil, nil
	return nil
}

func TestDedupeChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, setup{pipes: true}, func(f *fixture) {
			f.socket.ChannelWith("dupe", websocket.ChannelConfig{Intercept: []string{"number"}}, func(user, string) websocket.Handler { return &dedupe{} })
		})
		p := f.connect("1")
		p.join(1, "dupe")
		begin := time.Now()
		for _, n := range []int{3, 1, 3, 2, 1, 3} {
			if _, err := f.endpoint.Broadcast(t.Context(), "dupe", "number", map[string]int{"n": n}); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{3, 1, 2} {
			p.expect(fmt.Sprintf(`["1",null,"dupe","number",{"value":%d}]`, n))
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("after %v", d)
		}
	})
}
