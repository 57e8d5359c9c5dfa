package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

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
