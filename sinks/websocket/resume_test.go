package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// resumable is an endpoint whose topics "kept:*" are resumable, and "room:*"
// are not.
func resumable(t *testing.T, history pubsub.MemoryConfig, s setup, a *app) *fixture {
	t.Helper()
	if history.Topics == nil {
		history.Topics = []string{"kept:*"}
	}
	h, err := pubsub.NewMemory(history)
	if err != nil {
		t.Fatal(err)
	}
	if s.endpoint.PubSub, err = pubsub.New(pubsub.Config{History: h}); err != nil {
		t.Fatal(err)
	}
	s.channels = map[string]*app{"room:*": {}}
	return start(t, s, func(f *fixture) {
		for _, pattern := range []string{"kept:*", "unkept"} {
			f.socket.ChannelWith(pattern, websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return a })
		}
	})
}

// position is the field resume of a join's reply.
type position struct {
	Epoch     string `json:"epoch"`
	Offset    uint64 `json:"offset"`
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason"`
}

func (p position) params() string {
	return fmt.Sprintf(`{"resume":{"epoch":%q,"offset":%d}}`, p.Epoch, p.Offset)
}

// frame is a message of the server.
type frame struct {
	join, ref, event string
	payload          json.RawMessage
}

func (p *peer) frame() (f frame) {
	p.t.Helper()
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(p.read()), &parts); err != nil || len(parts) != 5 {
		p.t.Fatal(err)
	}
	return frame{string(parts[0]), string(parts[1]), strings.Trim(string(parts[3]), `"`), parts[4]}
}

// resume joins with join ref n and returns the reply.
func (p *peer) resume(n int, topic, params string) position {
	p.t.Helper()
	p.send(`["%d","%d",%q,"phx_join",%s]`, n, n, topic, params)
	f := p.frame()
	var reply struct {
		Status   string
		Response struct{ Resume position }
	}
	if err := json.Unmarshal(f.payload, &reply); err != nil || f.event != "phx_reply" || reply.Status != "ok" {
		p.t.Fatalf("join: %s %s %v", f.event, f.payload, err)
	}
	return reply.Response.Resume
}

func (p *peer) expectKept(join int, topic string, from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.expect(fmt.Sprintf(`["%d",null,%q,"e",{"n":%d,"resume_offset":%d}]`, join, topic, n-1, n))
	}
}

func TestResumeAfterADrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{Events: 5}, setup{pipes: true}, &app{})
		p := f.connect("1")
		first := p.resume(1, "kept:a", `{}`)
		if first.Epoch == "" || first.Offset != 0 || first.Recovered || first.Reason != "new" {
			t.Errorf("first join: %+v", first)
		}
		f.broadcast("kept:a", 0, 3)
		p.expectKept(1, "kept:a", 1, 3)
		_ = p.ws.CloseNow()
		synctest.Wait()
		if n := f.broadcast("kept:a", 3, 6); n != 0 {
			t.Errorf("%d receivers", n)
		}
		p = f.connect("1")
		was := position{Epoch: first.Epoch, Offset: 3}
		if again := p.resume(1, "kept:a", was.params()); again != (position{Epoch: first.Epoch, Offset: 3, Recovered: true}) {
			t.Errorf("second join: %+v", again)
		}
		f.broadcast("kept:a", 6, 8)
		p.expectKept(1, "kept:a", 4, 8)
		// Nothing missed; too much missed; elsewhere.
		for _, c := range []struct {
			params string
			want   position
		}{
			{position{Epoch: first.Epoch, Offset: 8}.params(), position{Offset: 8, Recovered: true}},
			{position{Epoch: first.Epoch, Offset: 2}.params(), position{Offset: 8, Reason: "history"}},
			{position{Epoch: "elsewhere", Offset: 8}.params(), position{Offset: 8, Reason: "epoch"}},
			{position{Epoch: first.Epoch, Offset: 9}.params(), position{Offset: 8, Reason: "epoch"}},
			{`{"resume":{"epoch":5}}`, position{Offset: 8, Reason: "new"}},
			{`[1]`, position{Offset: 8, Reason: "new"}},
			{`{"resume":null}`, position{Offset: 8, Reason: "new"}},
		} {
			q := f.connect("2")
			c.want.Epoch = first.Epoch
			if got := q.resume(1, "kept:a", c.params); got != c.want {
				t.Errorf("%s: %+v, want %+v", c.params, got, c.want)
			}
			_ = q.ws.CloseNow()
			synctest.Wait()
		}
		f.broadcast("kept:a", 8, 9)
		p.expectKept(1, "kept:a", 9, 9)
	})
}

// TestReplyOfAResumableJoin: the handler's own reply stays what it was.
func TestReplyOfAResumableJoin(t *testing.T) {
	replies := map[string]any{"kept:a": map[string]int{"x": 1}, "kept:b": json.RawMessage(" {} "), "kept:c": nil}
	f := resumable(t, pubsub.MemoryConfig{}, setup{}, &app{join: func(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
		if r, ok := replies[ch.Topic()]; ok {
			return r, nil
		}
		return []int{1}, nil
	}})
	p := f.connect("1")
	for topic, prefix := range map[string]string{"kept:a": `{"x":1,"resume":{"epoch":`, "kept:b": `{"resume":{"epoch":`, "kept:c": `{"resume":{"epoch":`} {
		p.send(`["1","1",%q,"phx_join",{}]`, topic)
		if got := p.read(); !strings.Contains(got, prefix) || !strings.Contains(got, `"reason":"new"}},"status":"ok"}`) {
			t.Errorf("%s: %s", topic, got)
		}
	}
	for _, topic := range []string{"kept:list", "unkept"} {
		p.send(`["1","1",%q,"phx_join",{}]`, topic)
		p.expect(fmt.Sprintf(`["1","1",%q,"phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`, topic))
	}
}

func TestWhatResumeNeeds(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[user]{})
	s.ChannelWith("x", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return &app{} })
	var bad *websocket.OptionError
	if err := e.Mount("/x", s, websocket.MountConfig{}); !errors.As(err, &bad) || bad.Option != "channel Resume" {
		t.Errorf("without history: %v", err)
	}
	f := resumable(t, pubsub.MemoryConfig{}, setup{}, &app{})
	s = websocket.NewSocket(websocket.SocketConfig[user]{})
	s.ChannelWith("x", websocket.ChannelConfig{Resume: true, Intercept: []string{"e"}}, func(user, string) websocket.Handler { return &app{} })
	if err := f.endpoint.Mount("/x", s, websocket.MountConfig{}); !errors.As(err, &bad) || bad.Option != "channel Intercept" {
		t.Errorf("with interception: %v", err)
	}
	p := f.connect("1")
	p.send(`["1","1","kept:a","phx_join",{}]`)
	p.read()
	if n, err := f.endpoint.Broadcast(t.Context(), "kept:a", "e", websocket.Binary{1}); n != 0 || err == nil {
		t.Errorf("binary: %d, %v", n, err)
	}
}

// TestASlowClientIsGivenTheRestLater: a full queue is no gap. What finds no
// room waits in the history, whatever the policy of the mount.
func TestASlowClientIsGivenTheRestLater(t *testing.T) {
	for _, policy := range []websocket.Overflow{websocket.CloseSlow, websocket.DropNewest, websocket.DropOldest} {
		synctest.Test(t, func(t *testing.T) {
			f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4, Overflow: policy}}}, &app{})
			p := f.connect("1")
			p.resume(1, "kept:a", `{}`)
			synctest.Wait()
			if n := f.broadcast("kept:a", 0, 100); n != 100 {
				t.Errorf("%d were taken", n)
			}
			synctest.Wait()
			if s := f.endpoint.Snapshot(); s.QueuedFrames != 4 || s.SlowCount != 1 {
				t.Errorf("%+v", s)
			}
			p.expectKept(1, "kept:a", 1, 100)
			synctest.Wait()
			f.broadcast("kept:a", 100, 101)
			p.expectKept(1, "kept:a", 101, 101)
			synctest.Wait()
			if n := f.metrics.get("websocket.discarded,reason:queue_full"); n != 0 {
				t.Errorf("%v discarded", n)
			}
		})
	}
}

// TestASlowClientBehindTheHistoryIsClosed: it joins again and is told.
func TestASlowClientBehindTheHistoryIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{Events: 10}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4}}}, &app{})
		p := f.connect("1")
		at := p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		f.broadcast("kept:a", 0, 50)
		synctest.Wait()
		p.expectKept(1, "kept:a", 1, 4)
		if code := p.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
		f.closedSlow("history", 1)
		p = f.connect("1")
		at.Offset = 4
		if got := p.resume(1, "kept:a", at.params()); got != (position{Epoch: at.Epoch, Offset: 50, Reason: "history"}) {
			t.Errorf("%+v", got)
		}
		f.broadcast("kept:a", 50, 51)
		p.expectKept(1, "kept:a", 51, 51)
	})
}

// TestOthersDoNotDropWhatIsKept: another channel's policy finds only its own.
func TestOthersDoNotDropWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Events: 4, Overflow: websocket.DropOldest}}}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		p.join(2, "room:a")
		synctest.Wait()
		f.broadcast("kept:a", 0, 1)
		synctest.Wait() // it is being written; the others wait
		f.broadcast("kept:a", 1, 3)
		if n := f.broadcast("room:a", 0, 10); n != 10 {
			t.Errorf("%d were taken", n)
		}
		f.broadcast("kept:a", 3, 6)
		p.expectKept(1, "kept:a", 1, 3)
		p.expect(`[null,null,"room:a","e",{"n":9}]`)
		p.expectKept(1, "kept:a", 4, 6)
	})
}

// TestALongRecordGoesAlone: one that is longer than the queue may be.
func TestALongRecordGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true, mount: websocket.MountConfig{Queue: websocket.QueueConfig{Bytes: 200}}}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		for range 3 {
			if n, err := f.endpoint.Broadcast(t.Context(), "kept:a", "e", map[string]string{"x": strings.Repeat("x", 1000)}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		for n := range 3 {
			if got := p.read(); len(got) < 1000 || !strings.HasSuffix(got, fmt.Sprintf(`,"resume_offset":%d}]`, n+1)) {
				t.Errorf("%d: %s", n, got)
			}
		}
	})
}

// TestOwnBroadcastsToOthers pins that a client which broadcasts to the others gets
// a position after that broadcast, and so does not get it after a drop either.
func TestOwnBroadcastsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{in: func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			_, err := ch.BroadcastFrom(ctx, "e", p)
			return websocket.OK(nil), err
		}})
		a, b := f.connect("a"), f.connect("b")
		a.resume(1, "kept:a", `{}`)
		b.resume(1, "kept:a", `{}`)
		for n := range 3 {
			a.send(`["1","2","kept:a","tell",{"n":%d}]`, 2*n)
			b.expectKept(1, "kept:a", 2*n+1, 2*n+1)
			a.expect(fmt.Sprintf(`["1",null,"kept:a","resume_offset",{"resume_offset":%d}]`, 2*n+1))
			a.expect(`["1","2","kept:a","phx_reply",{"response":{},"status":"ok"}]`)
			f.broadcast("kept:a", 2*n+1, 2*n+2)
			b.expectKept(1, "kept:a", 2*n+2, 2*n+2)
			a.expectKept(1, "kept:a", 2*n+2, 2*n+2)
		}
	})
}

// TestOwnBroadcastsDuringTheJoin pins that what a handler broadcasts to the others
// while its client joins does not reach that client, on a new join or when it
// resumes. The others get it.
func TestOwnBroadcastsDuringTheJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{join: func(ctx context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
			n++
			_, err := ch.BroadcastFrom(ctx, "e", map[string]int{"n": n - 1})
			return nil, err
		}})
		a := f.connect("a")
		first := a.resume(1, "kept:a", `{}`)
		if first.Offset != 1 {
			t.Errorf("began at %+v, want after the own broadcast", first)
		}
		b := f.connect("b")
		b.resume(1, "kept:a", `{}`)
		a.expectKept(1, "kept:a", 2, 2)
		_ = a.ws.CloseNow()
		synctest.Wait()
		a = f.connect("a")
		if again := a.resume(1, "kept:a", position{Epoch: first.Epoch, Offset: 1}.params()); !again.Recovered {
			t.Errorf("second join: %+v", again)
		}
		a.expectKept(1, "kept:a", 2, 2) // of b
		a.expect(`["1",null,"kept:a","resume_offset",{"resume_offset":3}]`)
		b.expectKept(1, "kept:a", 3, 3)
	})
}

// TestReservedFieldsOfPayloads pins that a payload's own fields with the names that
// resuming uses are replaced, so that each name comes once.
func TestReservedFieldsOfPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{join: func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
			return json.RawMessage(`{"resume":{"offset":9},"x":1,"\u0072esume":2}`), nil
		}})
		p := f.connect("1")
		p.send(`["1","1","kept:a","phx_join",{}]`)
		if got := string(p.frame().payload); strings.Count(got, "esume") != 1 || !strings.Contains(got, `"x":1`) || !strings.Contains(got, `"reason":"new"`) {
			t.Errorf("reply %s", got)
		}
		if _, err := f.endpoint.Broadcast(t.Context(), "kept:a", "e", json.RawMessage(`{"resume_offset":77,"n":0,"resume\u005foffset":78}`)); err != nil {
			t.Fatal(err)
		}
		p.expectKept(1, "kept:a", 1, 1)
	})
}

// TestFramesOfAnEarlierJoinCanBeToldApart: they carry its join ref.
func TestFramesOfAnEarlierJoinCanBeToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{})
		p := f.connect("1")
		at := p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		f.broadcast("kept:a", 0, 2)
		p.send(`["2","2","kept:a","phx_join",%s]`, at.params()) // without having seen them
		p.expectKept(1, "kept:a", 1, 2)
		if got := p.frame(); got.event != "phx_reply" || got.join != `"2"` || !strings.Contains(string(got.payload), `"recovered":true`) {
			t.Errorf("%+v", got)
		}
		p.expect(`["1","1","kept:a","phx_close",{}]`)
		p.expectKept(2, "kept:a", 1, 2)
	})
}

// TestWhatIsNotKeptPasses: such events, and pushes, come as on any other topic,
// and only once.
func TestWhatIsNotKeptPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{in: func(_ context.Context, ch *websocket.Channel, _ string, p websocket.Payload) (websocket.Reply, error) {
			return websocket.Reply{}, ch.Push("own", p)
		}})
		p := f.connect("1")
		at := p.resume(1, "kept:a", `{}`)
		p.send(`["1","2","kept:a","push",{"x":1}]`)
		p.expect(`["1",null,"kept:a","own",{"x":1}]`)
		if _, err := f.endpoint.LocalBroadcast("kept:a", "presence_diff", nil); err != nil {
			t.Fatal(err)
		}
		p.expect(`[null,null,"kept:a","presence_diff",{}]`)
		_ = p.ws.CloseNow()
		synctest.Wait()
		if _, err := f.endpoint.LocalBroadcast("kept:a", "presence_diff", nil); err != nil {
			t.Fatal(err)
		}
		f.broadcast("kept:a", 0, 1)
		p = f.connect("1")
		if got := p.resume(1, "kept:a", at.params()); !got.Recovered {
			t.Errorf("%+v", got)
		}
		p.expectKept(1, "kept:a", 1, 1)
	})
}

// TestResumeOverVersion1: the frames have no join ref there, all else is the same.
func TestResumeOverVersion1(t *testing.T) {
	f := resumable(t, pubsub.MemoryConfig{}, setup{}, &app{})
	c, _, err := f.dial("vsn=1.0.0", &client.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, ws: c}
	p.send(`{"topic":"kept:a","event":"phx_join","payload":{},"ref":"1"}`)
	if got := p.read(); !strings.Contains(got, `"resume":{"epoch":`) {
		t.Error(got)
	}
	f.broadcast("kept:a", 0, 1)
	p.expect(`{"event":"e","payload":{"n":0,"resume_offset":1},"ref":null,"topic":"kept:a"}`)
}

// TestResumeAfterARestart: another process counts anew, and says so.
func TestResumeAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{})
		at := f.connect("1").resume(1, "kept:a", `{}`)
		f = resumable(t, pubsub.MemoryConfig{}, setup{pipes: true}, &app{})
		f.broadcast("kept:a", 0, 3)
		p := f.connect("1")
		if got := p.resume(1, "kept:a", at.params()); got.Recovered || got.Reason != "epoch" || got.Offset != 3 || got.Epoch == at.Epoch {
			t.Errorf("%+v", got)
		}
		f.broadcast("kept:a", 3, 4)
		p.expectKept(1, "kept:a", 4, 4)
	})
}

// TestATopicThatWouldBeForgotten pins that a joined client goes on with the offsets
// of its topic while other topics come and go beyond MaxTopics, and that it is told
// when it comes back to a topic that was forgotten meanwhile.
func TestATopicThatWouldBeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := resumable(t, pubsub.MemoryConfig{MaxTopics: 3}, setup{pipes: true}, &app{})
		p := f.connect("1")
		at := p.resume(1, "kept:ann", `{}`)
		f.broadcast("kept:ann", 0, 3)
		p.expectKept(1, "kept:ann", 1, 3)
		others := func() {
			for n := range 5 {
				topic := fmt.Sprint("kept:", n)
				q := f.connect("2")
				q.resume(1, topic, `{}`)
				f.broadcast(topic, 0, 1)
				_ = q.ws.CloseNow()
			}
			synctest.Wait()
		}
		others()
		if n := f.broadcast("kept:ann", 3, 8); n != 5 {
			t.Errorf("5 broadcasts were taken %d times", n)
		}
		p.expectKept(1, "kept:ann", 4, 8)
		_ = p.ws.CloseNow()
		synctest.Wait()
		p = f.connect("1")
		at.Offset = 8
		if got := p.resume(1, "kept:ann", at.params()); !got.Recovered {
			t.Errorf("at once: %+v", got)
		}
		_ = p.ws.CloseNow()
		synctest.Wait()
		others()
		if got := f.connect("1").resume(1, "kept:ann", at.params()); got.Recovered || got.Reason != "epoch" || got.Epoch == at.Epoch {
			t.Errorf("once forgotten: %+v", got)
		}
	})
}

// TestAStoreThatFails pins that a client which lags is not left with a gap, that
// the connection is closed once, and that the process survives, whatever way the
// store fails.
func TestAStoreThatFails(t *testing.T) {
	none := func() ([]pubsub.Record, error) { return nil, nil }
	for name, since := range map[string]func() ([]pubsub.Record, error){
		"error":      func() ([]pubsub.Record, error) { return nil, errors.New("no route") },
		"panic":      func() ([]pubsub.Record, error) { panic("in a store") },
		"nothing":    none, // although it has kept records
		"bad record": func() ([]pubsub.Record, error) { return []pubsub.Record{{Offset: 3, Event: "e"}}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, store := withStore(t, websocket.QueueConfig{Events: 2}, &app{})
				p := f.connect("1")
				p.resume(1, "kept:a", `{}`)
				synctest.Wait()
				f.broadcast("kept:a", 0, 5)
				store.instead.Store(&since)
				p.expectKept(1, "kept:a", 1, 2)
				if code := p.closed(); code != 1013 {
					t.Errorf("closed with %d, want 1013", code)
				}
				if name == "nothing" {
					return
				}
				p = f.connect("1")
				p.send(`["1","1","kept:a","phx_join",{}]`)
				p.expect(`["1","1","kept:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
			})
		})
	}
}

// TestLeavingWhileTheStoreIsSlow pins that the connection of a client that leaves a
// topic whose store is being read stays open.
func TestLeavingWhileTheStoreIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, store := withStore(t, websocket.QueueConfig{Events: 2}, &app{})
		p := f.connect("1")
		p.resume(1, "kept:a", `{}`)
		synctest.Wait()
		f.broadcast("kept:a", 0, 5)
		store.waits.Store(true)
		p.expectKept(1, "kept:a", 1, 2)
		synctest.Wait() // the store is being read
		p.send(`["1","9","kept:a","phx_leave",{}]`)
		p.expect(`["1","9","kept:a","phx_reply",{"response":{},"status":"ok"}]`)
		p.expect(`["1","1","kept:a","phx_close",{}]`)
		synctest.Wait()
		p.send(`[null,"10","phoenix","heartbeat",{}]`)
		p.expect(`[null,"10","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
	})
}

// withStore is an endpoint with resumable topics over a store that can fail.
func withStore(t *testing.T, queue websocket.QueueConfig, a *app) (*fixture, *failing) {
	t.Helper()
	h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
	if err != nil {
		t.Fatal(err)
	}
	store := &failing{Memory: h}
	hub, err := pubsub.New(pubsub.Config{History: store})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}, mount: websocket.MountConfig{Queue: queue}}, func(f *fixture) {
		f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return a })
	}), store
}

// failing is a store that returns what instead says, or waits for its context.
type failing struct {
	*pubsub.Memory
	instead atomic.Pointer[func() ([]pubsub.Record, error)]
	waits   atomic.Bool
}

func (s *failing) Since(ctx context.Context, topic string, after pubsub.Position) ([]pubsub.Record, pubsub.Position, error) {
	if s.waits.Load() {
		<-ctx.Done()
		return nil, pubsub.Position{}, ctx.Err()
	}
	records, now, err := s.Memory.Since(ctx, topic, after)
	if f := s.instead.Load(); f != nil {
		records, err = (*f)()
	}
	return records, now, err
}
