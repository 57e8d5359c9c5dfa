package websocket_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	client "github.com/coder/websocket"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// fields is a wire format of its own: a message is a list of byte strings, each after
// its length in two bytes, and always binary. The last is the payload.
type fields struct{}

func (fields) Decode(data []byte, isBinary bool, maxDepth int) (codec.Message, error) {
	var list []string
	for len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data)) + 2
		if n > len(data) {
			break
		}
		list, data = append(list, string(data[2:n])), data[n:]
	}
	switch {
	case !isBinary || len(list) != 5 || len(data) > 0:
		return codec.Message{}, errors.New("not five fields")
	case list[3] == "explode":
		panic("a mistake of the serializer")
	}
	m := codec.Message{JoinRef: codec.RefOf(list[0]), Ref: codec.RefOf(list[1]), Topic: list[2], Event: list[3], Payload: []byte(list[4])}
	if strings.Count(list[4], "[") > maxDepth {
		m.Payload = nil
		return m, &codec.DecodeError{Reason: "nested too deep", WellFormed: true}
	}
	return m, nil
}

func (fields) Binary(codec.Payload) bool { return true }

func (fields) append(dst []byte, list ...string) ([]byte, error) {
	for _, s := range list {
		if s == "unfit" {
			panic("cannot be encoded")
		}
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
	}
	return dst, nil
}

func (f fields) AppendMessage(dst []byte, joinRef, ref codec.Ref, topic, event string, p codec.Payload) ([]byte, error) {
	return f.append(dst, joinRef.Text(), ref.Text(), topic, event, string(p.Data))
}

func (f fields) AppendReply(dst []byte, joinRef, ref codec.Ref, topic, status string, p codec.Payload) ([]byte, error) {
	return f.append(dst, joinRef.Text(), ref.Text(), topic, "reply "+status, string(p.Data))
}

func (f fields) AppendBroadcast(dst []byte, topic, event string, p codec.Payload) ([]byte, error) {
	return f.append(dst, "", "", topic, event, string(p.Data))
}

// fieldsPeer is a client that speaks fields.
type fieldsPeer struct{ peer }

func (p *fieldsPeer) say(list ...string) {
	p.t.Helper()
	data, _ := fields{}.append(nil, list...)
	if err := p.ws.Write(p.t.Context(), client.MessageBinary, data); err != nil {
		p.t.Fatal(err)
	}
}

func (p *fieldsPeer) hear(want ...string) {
	p.t.Helper()
	wanted, _ := fields{}.append(nil, want...)
	if got := p.read(); got != string(wanted) {
		p.t.Fatalf("got  %q\nwant %q", got, wanted)
	}
}

// TestOwnSerializer: a third wire format, chosen by vsn or by a subprotocol, beside
// clients of Phoenix on the same topics.
func TestOwnSerializer(t *testing.T) {
	f := start(t, setup{
		mount: websocket.MountConfig{Serializers: []websocket.SerializerConfig{{Version: "fields-1", Subprotocol: "fields", Serializer: fields{}}}},
		channels: map[string]*app{"room:*": {in: func(_ context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
			if event == "push" {
				if err := ch.Push("unfit", nil); err == nil {
					t.Error("what panics in the serializer was pushed")
				}
				return websocket.Reply{}, ch.Push("pushed", p)
			}
			return websocket.OK(p), nil
		}}},
	})
	phoenix := f.connect("1")
	phoenix.join(1, "room:a")
	for name, dial := range map[string]func() (*client.Conn, error){
		"vsn": func() (*client.Conn, error) { c, _, err := f.dial("vsn=fields-1", nil); return c, err },
		"subprotocol": func() (*client.Conn, error) {
			c, resp, err := f.dial("vsn=2.0.0", &client.DialOptions{Subprotocols: []string{"other", "fields"}})
			if err == nil && resp.Header.Get("Sec-WebSocket-Protocol") != "fields" {
				err = fmt.Errorf("subprotocol %q", resp.Header.Get("Sec-WebSocket-Protocol"))
			}
			return c, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			p := &fieldsPeer{peer{t: t, ws: c}}
			p.say("", "0", "phoenix", "heartbeat", "{}")
			p.hear("", "0", "phoenix", "reply ok", "{}")
			p.say("1", "1", "room:a", "phx_join", "{}")
			p.hear("1", "1", "room:a", "reply ok", "{}")
			p.say("1", "2", "room:a", "echo", `{"x":1}`)
			p.hear("1", "2", "room:a", "reply ok", `{"x":1}`)
			p.say("1", "3", "room:a", "push", `{"x":2}`)
			p.hear("1", "", "room:a", "pushed", `{"x":2}`)
			if n, err := f.endpoint.Broadcast(t.Context(), "room:a", "news", map[string]int{"n": 1}); n != 2 || err != nil {
				t.Errorf("broadcast: %d, %v", n, err)
			}
			p.hear("", "", "room:a", "news", `{"n":1}`)
			phoenix.expect(`[null,null,"room:a","news",{"n":1}]`)
			p.say("1", "4", "room:a", "echo", strings.Repeat("[", 40))
			p.hear("1", "4", "room:a", "reply error", `{"reason":"malformed message","limit":"nested too deep"}`)
			p.say("1", "5", "room:a", "phx_leave", "{}")
			p.hear("1", "5", "room:a", "reply ok", "{}")
			p.hear("1", "1", "room:a", "phx_close", "{}")
			p.say("1", "6", "room:a", "explode", "{}")
			if code := p.closed(); code != 1011 {
				t.Errorf("closed with %d", code)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		if _, resp, err := f.dial("vsn=fields-2", nil); err == nil || resp.StatusCode != 403 {
			t.Error(resp, err)
		}
		for option, list := range map[string][]websocket.SerializerConfig{
			"Serializers[0]":             {{Serializer: fields{}}},
			"Serializers[0].Serializer":  {{Version: "1"}},
			"Serializers[0].Subprotocol": {{Subprotocol: "a b", Serializer: fields{}}},
			"Serializers[1].Version":     {{Version: "3", Serializer: fields{}}, {Version: "3", Serializer: fields{}}},
			"Serializers[1].Subprotocol": {{Subprotocol: "a", Serializer: fields{}}, {Version: "a", Subprotocol: "a", Serializer: fields{}}},
		} {
			e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
			if err != nil {
				t.Fatal(err)
			}
			err = e.Mount("/x", f.socket, websocket.MountConfig{Serializers: list})
			if refused, _ := errors.AsType[*websocket.OptionError](err); refused == nil || refused.Option != option {
				t.Errorf("%s: %v", option, err)
			}
		}
	})
}

// partly is a serializer whose type can be compared and whose values cannot.
type partly struct {
	fields
	more any
}

// TestSerializersThatCannotBeCompared: each mount gets a format of its own.
func TestSerializersThatCannotBeCompared(t *testing.T) {
	e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a", "/b"} {
		cfg := websocket.MountConfig{Serializers: []websocket.SerializerConfig{{Version: "3", Serializer: partly{more: []int{1}}}}}
		if err := e.Mount(path, websocket.NewSocket(websocket.SocketConfig[user]{}), cfg); err != nil {
			t.Error(path, err)
		}
	}
}

// TestJSONDepthIsAnOption: the bound is that of the mount, with the message counted.
func TestJSONDepthIsAnOption(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for depth, effective := range map[int]int{0: 32, 2: 2, 5: 5, 1000: 1000} {
		f := start(t, setup{channels: map[string]*app{"room:*": {}}, mount: websocket.MountConfig{Limits: websocket.Limits{JSONDepth: depth}}})
		p := f.connect("1")
		p.join(1, "room:a")
		p.send(`["1","2","room:a","echo",%s]`, nested(effective-1))
		p.expect(`["1","2","room:a","phx_reply",{"response":` + nested(effective-1) + `,"status":"ok"}]`)
		p.send(`["1","3","room:a","echo",%s]`, nested(effective))
		p.expect(`["1","3","room:a","phx_reply",{"response":{"reason":"malformed message","limit":"nested too deep"},"status":"error"}]`)
	}
	for _, depth := range []int{-1, 1, 1001} {
		e, err := websocket.NewEndpoint(websocket.EndpointConfig{})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Mount("/x", websocket.NewSocket(websocket.SocketConfig[user]{}), websocket.MountConfig{Limits: websocket.Limits{JSONDepth: depth}})
		if refused, _ := errors.AsType[*websocket.OptionError](err); refused == nil || refused.Option != "Limits.JSONDepth" {
			t.Errorf("%d: %v", depth, err)
		}
	}
}
