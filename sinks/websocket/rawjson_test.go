package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// TestRawJSONIsCheckedWhereItEnters: a value that does not become JSON is an error to
// the caller on every way out, and no client gets it. An empty one is null.
func TestRawJSONIsCheckedWhereItEnters(t *testing.T) {
	bad := map[string]any{
		"cut": json.RawMessage(`{"a":`), "two": json.RawMessage(`{"a":1}{"b":2}`), "UTF-8": json.RawMessage("{\"a\":\"\xff\"}"),
		"bytes": []byte("{\"a\":\"\xff\"}"), "nested": map[string]any{"a": json.RawMessage("\"\xff\"")}, "NaN": map[string]any{"f": math.NaN()},
		"payload": websocket.Payload{Data: []byte(`{"a":`)},
	}
	failures := make(chan error, 10)
	a := &app{
		join: func(_ context.Context, _ *websocket.Channel, p websocket.Payload) (any, error) {
			var name string
			if p.Decode(&name) == nil {
				return bad[name], nil
			}
			return nil, nil
		},
		in: func(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			var name string
			if err := p.Decode(&name); err != nil {
				return websocket.Reply{}, err
			}
			switch event {
			case "push":
				failures <- ch.Push("x", bad[name])
			case "broadcast":
				_, err := ch.Broadcast(ctx, "x", bad[name])
				failures <- err
			case "broadcast_from":
				_, err := ch.BroadcastFrom(ctx, "x", bad[name])
				failures <- err
			case "later":
				ref, err := ch.Ref()
				if err != nil {
					return websocket.Reply{}, err
				}
				failures <- ref.Reply(websocket.OK(bad[name]))
			case "reply":
				return websocket.OK(bad[name]), nil
			case "empty":
				return websocket.OK([]any{json.RawMessage(nil), json.RawMessage{}, []byte(nil), websocket.Payload{}}[len(name)]), nil
			}
			return websocket.OK(nil), nil
		},
		terminate: func(_ context.Context, _ *websocket.Channel, reason error) { failures <- reason },
	}
	f := start(t, setup{channels: map[string]*app{"room:*": a}})
	for name := range bad {
		t.Run(name, func(t *testing.T) {
			p := f.connect("1")
			p.send(`["1","1","room:a","phx_join",%q]`, name)
			p.expect(`["1","1","room:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
			if err := got(t, failures); err == nil { // of the join
				t.Error("the handler ended without a reason")
			}
			p.join(2, "room:a")
			for i, how := range []string{"push", "broadcast", "broadcast_from"} {
				p.send(`["2","%d","room:a",%q,%q]`, 10+i, how, name)
				if err := got(t, failures); err == nil || errors.Is(err, websocket.ErrClosed) {
					t.Errorf("%s: error %v", how, err)
				}
				p.expect(fmt.Sprintf(`["2","%d","room:a","phx_reply",{"response":{},"status":"ok"}]`, 10+i))
			}
			if _, err := f.endpoint.Broadcast(t.Context(), "room:a", "x", bad[name]); err == nil {
				t.Error("the endpoint broadcasts it")
			}
			if err := f.endpoint.Deliver(t.Context(), "room:a", "x", bad[name], func(pubsub.Report) {}); err == nil {
				t.Error("the endpoint delivers it")
			}
			p.send(`["2","20","room:a","later",%q]`, name)
			if err := got(t, failures); err == nil {
				t.Error("a later reply is sent")
			}
			p.expect(`["2","20","room:a","phx_reply",{"response":{},"status":"ok"}]`)
			p.send(`["2","21","room:a","reply",%q]`, name) // a handler that returns it has crashed
			p.expect(`["2","2","room:a","phx_error",{"reason":"channel_crash"}]`)
			var crashed *websocket.CrashError
			if err := got(t, failures); !errors.As(err, &crashed) {
				t.Errorf("the channel ended with %v", err)
			}
			_ = p.ws.CloseNow()
		})
	}
	t.Run("empty", func(t *testing.T) {
		p := f.connect("1")
		p.join(1, "room:a")
		for i := range 4 {
			p.send(`["1","9","room:a","empty",%q]`, strings.Repeat("x", i))
			p.expect(`["1","9","room:a","phx_reply",{"response":null,"status":"ok"}]`)
		}
	})
}
