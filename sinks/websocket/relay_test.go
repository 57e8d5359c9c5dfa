package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket"
)

var pollSecret = []byte(strings.Repeat("secret..", 4))

// pollNodes starts two nodes whose long-poll sessions can be reached over both.
func pollNodes(t *testing.T, a *app) (*pubsubtest.Network, [2]*fixture) {
	t.Helper()
	s := pollSetup(a)
	s.mount.LongPoll.Secret = pollSecret
	return twoNodes(t, s, &app{})
}

// echo replies, and broadcasts what it gets as "all".
func echo() *app {
	return &app{in: func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
		if event == "all" {
			_, err := ch.Broadcast(ctx, "e", p)
			return websocket.Reply{}, err
		}
		return websocket.OK(p), nil
	}}
}

// at returns the client as it goes on at another node.
func (p *poller) at(f *fixture) *poller { return &poller{f: f, token: p.token, query: p.query} }

// TestLongPollOverAnyNode is P85: the requests of a client reach two nodes in turn, as
// behind a balancer that knows nothing of sessions.
func TestLongPollOverAnyNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := pollNodes(t, echo())
		p := n[0].poll("vsn=2.0.0&user=1")
		home, away := p, p.at(n[1])
		if s := away.post(`["1","1","room:a","phx_join",{}]`); s != 200 {
			t.Fatalf("join over the other node: %d", s)
		}
		expectPoll(t, away.get(), 200, `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`)
		for i := range 20 {
			at := [2]*poller{home, away}
			if s := at[i%2].post(fmt.Sprintf(`["1","%d","room:a","all",{"n":%d}]`, i+2, i)); s != 200 {
				t.Fatalf("post %d: %d", i, s)
			}
			synctest.Wait()
			expectPoll(t, at[(i/2)%2].get(), 200, fmt.Sprintf(`[null,null,"room:a","e",{"n":%d}]`, i))
		}
		begin := time.Now()
		if got := away.get(); got.Status != 204 || got.Token != p.token || time.Since(begin) != 10*time.Second {
			t.Errorf("empty: %+v after %v", got, time.Since(begin))
		}
		// What comes while a GET waits at the other node, from either of them.
		for i, f := range n {
			got := make(chan polled)
			go func() { got <- away.get() }()
			<-time.After(time.Second)
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "now", map[string]int{"n": i}); err != nil {
				t.Fatal(err)
			}
			expectPoll(t, <-got, 200, fmt.Sprintf(`[null,null,"room:a","now",{"n":%d}]`, i))
		}
		if got := n[1].metrics.get("websocket.longpoll_relays,result:answered"); got < 20 {
			t.Errorf("%v requests were passed on", got)
		}
	})
}

// TestLongPollBodiesInParts: bodies that are larger than a backplane's messages.
func TestLongPollBodiesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		largest := 0
		got := 0
		a := &app{in: func(_ context.Context, ch *websocket.Channel, _ string, p websocket.Payload) (websocket.Reply, error) {
			got += len(p.Data)
			return websocket.Reply{}, nil
		}}
		s := pollSetup(a)
		s.mount.LongPoll.Secret = pollSecret
		net, n := twoNodes(t, s, &app{})
		net.Drop = func(_, _ string, m *pubsub.Message) bool {
			largest = max(largest, len(m.Payload.Data))
			return false
		}
		p := n[0].poll("vsn=2.0.0&user=1")
		away := p.at(n[1])
		away.post(`["1","1","room:a","phx_join",{}]`)
		away.get()
		text := strings.Repeat("x", 30_000)
		messages, sent := make([]string, 40), 0
		for i := range messages {
			messages[i] = fmt.Sprintf(`["1","%d","room:a","e",{"n":%q}]`, i+2, text)
			sent += len(text) + len(`{"n":""}`)
		}
		if s := away.post(messages...); s != 200 {
			t.Fatalf("post: %d", s)
		}
		synctest.Wait()
		if got != sent {
			t.Errorf("%d bytes arrived of %d", got, sent)
		}
		for i := range 25 {
			if _, err := n[0].endpoint.Broadcast(t.Context(), "room:a", "e", map[string]any{"n": i, "text": text}); err != nil {
				t.Fatal(err)
			}
		}
		answer := away.get()
		if len(answer.Messages) != 25 {
			t.Errorf("%d messages, status %d", len(answer.Messages), answer.Status)
		}
		for i, m := range answer.Messages {
			if !strings.Contains(m, fmt.Sprintf(`"n":%d,`, i)) {
				t.Errorf("message %d is %.60s", i, m)
			}
		}
		if largest > 300_000 {
			t.Errorf("a message of %d bytes", largest)
		}
	})
}

func TestLongPollSessionThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := pollNodes(t, echo())
		over := func(what string, p *poller, within time.Duration) {
			t.Helper()
			begin := time.Now()
			if s := p.post(`["1","1","room:a","phx_join",{}]`); s != 410 {
				t.Errorf("%s: a POST gets %d", what, s)
			}
			if s := p.get().Status; s != 500 {
				t.Errorf("%s: a GET gets %d", what, s)
			}
			if d := time.Since(begin); d > within {
				t.Errorf("%s: known after %v", what, d)
			}
			// What phoenix.js does then.
			p.f.poll("vsn=2.0.0&user=1")
		}
		p := n[0].poll("vsn=2.0.0&user=1")
		synctest.Wait() // until the other node knows that this one wants the socket's id
		if _, err := n[1].endpoint.Disconnect(t.Context(), "id:1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := p.at(n[1]).get().Status; s != 500 { // the close itself
			t.Errorf("disconnected: %d", s)
		}
		over("disconnected", p.at(n[1]), 0)
		forged := p.at(n[1])
		forged.token = p.token[:len(p.token)-4] + "AAAA"
		over("forged", forged, 0)
		p = n[0].poll("vsn=2.0.0&user=2")
		net.Cut("a", "b")
		over("cut off", p.at(n[1]), 10*time.Second)
		net.Heal()
		p = n[0].poll("vsn=2.0.0&user=3")
		net.Freeze("a")
		over("silent", p.at(n[1]), 10*time.Second)
		net.Thaw("a")
		if err := n[0].endpoint.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		over("closed", p.at(n[1]), 10*time.Second)
	})
}

// TestLongPollClientLeavesTheOtherNode: a GET that the client gives up takes nothing.
func TestLongPollClientLeavesTheOtherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := pollNodes(t, echo())
		p := n[0].poll("vsn=2.0.0&user=1")
		p.post(`["1","1","room:a","phx_join",{}]`)
		p.get()
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.at(n[1]).request("GET", "", "", func(r *http.Request) { *r = *r.WithContext(ctx) })
		}()
		<-time.After(time.Second)
		leave()
		<-done
		synctest.Wait()
		if _, err := n[1].endpoint.Broadcast(t.Context(), "room:a", "kept", nil); err != nil {
			t.Fatal(err)
		}
		expectPoll(t, p.at(n[1]).get(), 200, `[null,null,"room:a","kept",{}]`)
		// A later GET over the session's own node replaces one that waits at the other.
		first := make(chan polled)
		go func() { first <- p.at(n[1]).get() }()
		<-time.After(time.Second)
		second := make(chan polled)
		go func() { second <- p.get() }()
		if got := <-first; got.Status != 204 {
			t.Errorf("replaced: %+v", got)
		}
		if _, err := n[0].endpoint.Broadcast(t.Context(), "room:a", "then", nil); err != nil {
			t.Fatal(err)
		}
		expectPoll(t, <-second, 200, `[null,null,"room:a","then",{}]`)
		// A node that closes gives its GETs back, and the session goes on.
		go func() { first <- p.at(n[1]).get() }()
		<-time.After(time.Second)
		if err := n[1].endpoint.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-first; got.Status != 204 || got.Token != p.token {
			t.Errorf("the other node closes: %+v", got)
		}
		if s := p.post(`["1","2","room:a","all",{"n":1}]`); s != 200 {
			t.Errorf("after that: %d", s)
		}
		synctest.Wait()
		expectPoll(t, p.get(), 200, `[null,null,"room:a","e",{"n":1}]`)
	})
}

// TestLongPollResponseThatIsLost between the nodes, or its confirmation, ends the
// session: its messages are not lost in silence.
func TestLongPollResponseThatIsLost(t *testing.T) {
	for _, lost := range []string{"a", "b"} {
		t.Run("from "+lost, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, n := pollNodes(t, echo())
				var lose atomic.Bool
				net.Drop = func(from, _ string, m *pubsub.Message) bool { return lose.Load() && from == lost && m.Payload.Binary }
				p := n[0].poll("vsn=2.0.0&user=1")
				p.post(`["1","1","room:a","phx_join",{}]`)
				p.get()
				got := make(chan polled)
				go func() { got <- p.at(n[1]).get() }()
				<-time.After(time.Second)
				lose.Store(true)
				if _, err := n[0].endpoint.Broadcast(t.Context(), "room:a", "e", nil); err != nil {
					t.Fatal(err)
				}
				first := <-got
				if lost == "a" && first.Status != 500 || lost == "b" && len(first.Messages) != 1 {
					t.Errorf("%+v", first)
				}
				<-time.After(15 * time.Second)
				lose.Store(false)
				if s := p.at(n[1]).get().Status; s != 500 {
					t.Errorf("the session goes on: %d", s)
				}
			})
		})
	}
}

// TestLongPollPartsThatAreMalformed are dropped and counted.
func TestLongPollPartsThatAreMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, n := pollNodes(t, echo())
		hub := n[0].endpoint.PubSub()
		parts := []string{"", "\x01", "\x02\x01aaaaaaaa\x02{}", "\x01\x09aaaaaaaa\x02{}", "\x01\x01aaaaaaaa\xff\xff\x01{}",
			"\x01\x01aaaaaaaa\x02{]", "\x01\x01aaaaaaaa\x08{\"at\":9}", "\x01\x01aaaaaaaa\x09{\"at\":-9}"}
		for _, part := range parts {
			if nodes, err := hub.Send(t.Context(), "b", "\xfflongpoll:/socket/longpoll", "longpoll", pubsub.Binary(part)); nodes != 1 || err != nil {
				t.Errorf("%d, %v", nodes, err)
			}
		}
		synctest.Wait()
		if got := n[1].metrics.get("websocket.longpoll_relays,result:malformed"); got != float64(len(parts)) {
			t.Errorf("%v counted of %d", got, len(parts))
		}
	})
}

func TestLongPollSecretIsChecked(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{Connect: func(context.Context, *websocket.ConnectRequest) (user, error) { return user{}, nil }})
	var bad *websocket.OptionError
	err = e.Mount("/s", s, websocket.MountConfig{LongPoll: &websocket.LongPollConfig{Secret: []byte("too short")}})
	if !errors.As(err, &bad) || bad.Option != "LongPoll.Secret" || strings.Contains(err.Error(), "too short") {
		t.Errorf("%v", err)
	}
}
