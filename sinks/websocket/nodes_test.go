package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// twoNodes starts endpoints on hubs a and b that are joined. Topics "kept:*" keep
// history and are resumable.
func twoNodes(t *testing.T, s setup, a *app) (*pubsubtest.Network, [2]*fixture) {
	t.Helper()
	return twoNodesWith(t, s, a, func() pubsub.History {
		h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
		if err != nil {
			t.Fatal(err)
		}
		return h
	})
}

func twoNodesWith(t *testing.T, s setup, a *app, history func() pubsub.History) (*pubsubtest.Network, [2]*fixture) {
	t.Helper()
	net := pubsubtest.NewNetwork()
	var nodes [2]*fixture
	for i, name := range []string{"a", "b"} {
		s := s
		s.pipes = true
		s.endpoint.PubSub, _ = net.Hub(t, name, pubsub.Config{History: history(), Linger: time.Minute, RemoteTimeout: 2 * time.Second})
		synctest.Wait() // so that the Run of no hub begins after its first client
		nodes[i] = start(t, s, func(f *fixture) {
			f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return a })
		})
	}
	return net, nodes
}

// TestChannelsOfTwoNodes: each client gets the same, wherever it and the sender
// are.
func TestChannelsOfTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := &app{
			intercept: []string{"mine"},
			in: func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
				switch event {
				case "others":
					_, err := ch.BroadcastFrom(ctx, "others", p)
					return websocket.Reply{}, err
				case "watch":
					return websocket.Reply{}, ch.Subscribe("news")
				}
				return websocket.Reply{}, errors.New("unknown event")
			},
			out: func(_ context.Context, ch *websocket.Channel, event string, p websocket.Payload) error {
				return ch.Push(event, map[string]any{"got": p, "on": ch.SocketID()})
			},
			info: func(_ context.Context, ch *websocket.Channel, msg any) error {
				m := msg.(*pubsub.Message)
				return ch.Push(m.Event, m.Payload)
			},
		}
		_, n := twoNodes(t, setup{
			channels: map[string]*app{"room:*": room},
			socket:   websocket.SocketConfig[user]{ID: func(u user) string { return "id:" + u.ID }},
		}, &app{})
		a, b := n[0].connect("1"), n[1].connect("2")
		a.join(1, "room:x")
		b.join(1, "room:x")
		synctest.Wait()
		ctx := t.Context()
		for _, from := range n {
			if got, err := from.endpoint.Broadcast(ctx, "room:x", "all", map[string]int{"n": 1}); got != 1 || err != nil {
				t.Errorf("%d, %v", got, err)
			}
			for _, p := range []*peer{a, b} {
				p.expect(`[null,null,"room:x","all",{"n":1}]`)
			}
			if _, err := from.endpoint.Broadcast(ctx, "room:x", "mine", map[string]int{"n": 2}); err != nil {
				t.Error(err)
			}
			a.expect(`["1",null,"room:x","mine",{"got":{"n":2},"on":"id:1"}]`)
			b.expect(`["1",null,"room:x","mine",{"got":{"n":2},"on":"id:2"}]`)
		}
		a.send(`["1","2","room:x","others",{"n":3}]`)
		b.expect(`[null,null,"room:x","others",{"n":3}]`)
		b.send(`["1","3","room:x","watch",{}]`)
		synctest.Wait()
		if got, err := n[0].endpoint.Broadcast(ctx, "news", "flash", map[string]int{"n": 4}); got != 0 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		b.expect(`["1",null,"room:x","flash",{"n":4}]`)
		if _, err := n[0].endpoint.PubSub().DirectBroadcast(ctx, "b", "room:x", "direct", map[string]int{"n": 5}); err != nil {
			t.Error(err)
		}
		b.expect(`[null,null,"room:x","direct",{"n":5}]`)
		if _, err := n[0].endpoint.PubSub().BroadcastFrom(ctx, nil, "room:empty", "e", []int{1}); !errors.Is(err, websocket.ErrPayload) {
			t.Errorf("a list in an empty room: %v", err)
		}
		if _, err := n[0].endpoint.LocalBroadcast("room:x", "all", map[string]int{"n": 6}); err != nil {
			t.Error(err)
		}
		a.expect(`[null,null,"room:x","all",{"n":6}]`) // and none of the others
		if got, err := n[0].endpoint.Disconnect(ctx, "id:2"); got != 0 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		if code := b.closed(); code != 1001 {
			t.Errorf("closed with %d", code)
		}
	})
}

// TestAChannelGoesOnWithoutTheOtherNodes: a broadcast that only this node's clients
// get is no fault of the handler that made it.
func TestAChannelGoesOnWithoutTheOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := pubsubtest.NewNetwork()
		h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
		if err != nil {
			t.Fatal(err)
		}
		hub, stop := net.Hub(t, "a", pubsub.Config{History: h})
		synctest.Wait()
		stop() // Publish fails from here on
		says := &app{in: func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			_, err := ch.BroadcastFrom(ctx, event, p)
			return websocket.Reply{}, err
		}}
		f := start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}}, func(f *fixture) {
			f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return says })
		})
		a, b := f.connect("1"), f.connect("2")
		a.resume(1, "kept:a", "{}")
		b.resume(1, "kept:a", "{}")
		for n := 1; n <= 2; n++ {
			a.send(`["1","2","kept:a","e",{"n":%d}]`, n)
			b.expect(fmt.Sprintf(`["1",null,"kept:a","e",{"n":%d,"resume_offset":%d}]`, n, n))
			a.expect(fmt.Sprintf(`["1",null,"kept:a","resume_offset",{"resume_offset":%d}]`, n))
		}
		if s := hub.Snapshot(); s.NotPublished != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestResumeWithTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := twoNodes(t, setup{}, &app{})
		p := n[0].connect("1")
		at := p.resume(1, "kept:a", `{}`)
		n[1].broadcast("kept:a", 0, 1) // right after the reply: nothing falls in between
		p.expectKept(1, "kept:a", 1, 1)
		at.Offset++
		_ = p.ws.CloseNow()
		synctest.Wait()
		n[1].broadcast("kept:a", 1, 3)
		<-time.After(59 * time.Second)
		p = n[0].connect("1")
		if got := p.resume(1, "kept:a", at.params()); got != (position{Epoch: at.Epoch, Offset: 1, Recovered: true}) {
			t.Errorf("back within the linger: %+v", got)
		}
		p.expectKept(1, "kept:a", 2, 3)
		at.Offset = 3
		other := n[1].connect("1")
		if got := other.resume(1, "kept:a", at.params()); got.Recovered || got.Reason != "epoch" {
			t.Errorf("at the other node: %+v", got)
		}
		_ = other.ws.CloseNow()
		_ = p.ws.CloseNow()
		<-time.After(2 * time.Minute)
		n[1].broadcast("kept:a", 3, 4) // which a does not get any more
		synctest.Wait()
		p = n[0].connect("1")
		if got := p.resume(1, "kept:a", at.params()); got.Recovered || got.Reason != "epoch" {
			t.Errorf("back after the linger: %+v", got)
		}
	})
}

// TestNoGapIsSilent has clients of a resumable topic on two nodes while messages
// are delayed and the nodes are cut off and joined again. A client that is not told
// otherwise gets each broadcast, once and in order.
func TestNoGapIsSilent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		net, n := twoNodes(t, setup{}, &app{})
		links := rand.New(rand.NewPCG(seed, 1)) // used under the network's lock
		net.Delay = func(string, string) time.Duration { return time.Duration(links.IntN(30)) * time.Millisecond }
		followers := []*trail{{}, {}, {}, {}}
		recovered, told, next := 0, 0, 0
		cut := false
		for round := range 1500 {
			f := followers[r.IntN(len(followers))]
			switch k := r.IntN(30); {
			case k < 20:
				n[0].broadcast("kept:a", next, next+1)
				next++
			case k < 26:
				f.leave()
				if r.IntN(3) == 0 {
					<-time.After(time.Duration(r.IntN(80)) * time.Second)
				}
				if f.join(t, n[r.IntN(2)]) {
					recovered++
				} else {
					told++
				}
			case k == 26 && !cut:
				net.Cut("a", "b")
				cut = true
			case k == 27 && cut:
				net.Heal()
				cut = false
			default:
				<-time.After(time.Duration(r.IntN(200)) * time.Millisecond)
			}
			if f := f.check(); f != "" {
				t.Fatalf("round %d: %s", round, f)
			}
		}
		net.Heal()
		<-time.After(time.Second)
		synctest.Wait()
		n[0].broadcast("kept:a", next, next+1)
		<-time.After(time.Second)
		synctest.Wait()
		for i, f := range followers {
			f.mu.Lock()
			if f.peer != nil && !f.ended && f.last != next {
				t.Errorf("follower %d has %d, and was not told that it missed the last one", i, f.last)
			}
			f.mu.Unlock()
			f.leave()
		}
		t.Logf("%d recovered, %d told", recovered, told)
		if recovered == 0 || told == 0 {
			t.Error("one of the two never happened")
		}
	})
}

// trail is what one client of the resumable topic has seen.
type trail struct {
	peer *peer
	wait sync.WaitGroup

	mu    sync.Mutex
	at    position
	last  int // the last number; -1 if any may be next
	ended bool
	fault string
}

// join joins at a node and reports whether the client has recovered.
func (f *trail) join(t *testing.T, n *fixture) bool {
	f.peer = n.connect("1")
	params := "{}"
	if f.at.Epoch != "" {
		params = f.at.params()
	}
	got := f.peer.resume(1, "kept:a", params)
	if got.Recovered && (got.Epoch != f.at.Epoch || got.Offset != f.at.Offset) {
		t.Errorf("recovered at %+v, was at %+v", got, f.at)
	}
	f.at, f.ended = got, false
	if !got.Recovered {
		f.last = -1
	}
	p := f.peer
	f.wait.Go(func() { f.follow(p) })
	return got.Recovered
}

func (f *trail) leave() {
	if f.peer != nil {
		_ = f.peer.ws.CloseNow()
		f.wait.Wait()
		f.peer = nil
	}
}

// follow reads until the connection ends.
func (f *trail) follow(p *peer) {
	for {
		kind, data, err := p.ws.Read(context.Background())
		f.mu.Lock()
		if err != nil || kind != client.MessageText {
			f.ended = true
			f.mu.Unlock()
			return
		}
		var parts []json.RawMessage
		var e struct {
			N      int    `json:"n"`
			Offset uint64 `json:"resume_offset"`
		}
		if err := errors.Join(json.Unmarshal(data, &parts), json.Unmarshal(parts[4], &e)); err != nil {
			f.fault = err.Error()
		}
		if e.Offset != f.at.Offset+1 || (f.last >= 0 && e.N != f.last+1) {
			f.fault = fmt.Sprintf("%d at %d after %d at %d", e.N, e.Offset, f.last, f.at.Offset)
		}
		f.at.Offset, f.last = e.Offset, e.N
		f.mu.Unlock()
	}
}

func (f *trail) check() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}
