package websocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// serving mounts what define defines at /socket.
func serving(define func(s *websocket.Socket[Visitor])) *websocket.Endpoint {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		panic(err)
	}
	s := websocket.NewSocket(websocket.SocketConfig[Visitor]{
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (Visitor, error) {
			return Visitor{Name: r.Params.Get("name")}, nil
		},
		ID: func(v Visitor) string { return "visitor:" + v.Name },
	})
	define(s)
	if err := endpoint.Mount("/socket", s, websocket.MountConfig{}); err != nil {
		panic(err)
	}
	return endpoint
}

// open is a handler that accepts every client; others embed it.
type open struct{}

func (open) HandleJoin(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
	return nil, nil
}

// Two kinds of users connect at two paths, each with an authentication of its
// own.
func ExampleEndpoint_Mount() {
	endpoint, err := websocket.NewEndpoint(websocket.EndpointConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	shoppers := websocket.NewSocket(websocket.SocketConfig[Visitor]{Name: "Shoppers"}) // accepts every client
	admins := websocket.NewSocket(websocket.SocketConfig[Visitor]{
		Name: "Admins",
		Connect: func(_ context.Context, r *websocket.ConnectRequest) (Visitor, error) {
			if r.Params.Get("password") != "open sesame" {
				return Visitor{}, &websocket.StatusError{Status: 401, Body: "wrong password"}
			}
			return Visitor{Name: "admin"}, nil
		},
	})
	fmt.Println(endpoint.Mount("/socket", shoppers, websocket.MountConfig{}), endpoint.Mount("/admin", admins, websocket.MountConfig{}))

	t := &exampleTB{}
	defer t.end()
	channeltest.Connect(t, endpoint, "/socket/websocket")
	channeltest.Connect(t, endpoint, "/admin/websocket?password=open+sesame")
	fmt.Println(channeltest.Refused(t, endpoint, "/admin/websocket"))
	// Output:
	// <nil> <nil>
	// 401 wrong password
}

// Topics are routed by their name or its beginning; the first match counts.
func ExampleSocket_Channel() {
	by := func(route string) func(Visitor, string) websocket.Handler {
		return func(v Visitor, topic string) websocket.Handler {
			return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
				if topic == "user:ann" && v.Name != "ann" {
					return nil, websocket.Refuse("unauthorized")
				}
				return map[string]string{"by": route}, nil
			})
		}
	}
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("lobby", by("lobby"))
		s.Channel("user:*", by("user:*"))
	})
	t := &exampleTB{}
	defer t.end()
	c := channeltest.Connect(t, endpoint, "/socket/websocket?name=bob")
	for _, topic := range []string{"lobby", "user:bob", "user:ann", "elsewhere"} {
		_, status, response := c.TryJoin(topic, nil)
		fmt.Println(topic, status, string(response))
	}
	// Output:
	// lobby ok {"by":"lobby"}
	// user:bob ok {"by":"user:*"}
	// user:ann error {"reason":"unauthorized"}
	// elsewhere error {"reason":"unmatched topic"}
}

type calculator struct{ open }

func (calculator) HandleIn(_ context.Context, _ *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	switch event {
	case "double":
		var n struct{ N int }
		if err := p.Decode(&n); err != nil {
			return websocket.Fail(map[string]string{"reason": "n must be a number"}), nil // the channel goes on
		}
		return websocket.OK(map[string]int{"n": 2 * n.N}), nil
	case "note":
		return websocket.Reply{}, nil // no reply
	case "bye":
		return websocket.OK(nil), websocket.ErrStopped // the channel ends
	}
	return websocket.Reply{}, fmt.Errorf("unknown event %q", event) // the channel crashes
}

// A handler replies, does not reply, or stops.
func ExampleInHandler() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("calculator", func(Visitor, string) websocket.Handler { return calculator{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("calculator", nil)
	for _, payload := range []string{`{"n":21}`, `{"n":"x"}`} {
		status, response := ch.Push("double", json.RawMessage(payload)).Reply()
		fmt.Println(status, string(response))
	}
	ch.Push("note", nil).RefuteReply(10 * time.Millisecond)
	ch.Push("bye", nil).AssertReply("ok", nil)
	ch.AssertClosed()
	fmt.Println("closed")
	// Output:
	// ok {"n":42}
	// error {"reason":"n must be a number"}
	// closed
}

type personal struct {
	open
	visitor Visitor
}

func (h personal) HandleOut(_ context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error {
	if h.visitor.Name == "bob" {
		return nil // Bob's client gets nothing
	}
	var greeting struct {
		Text string `json:"text"`
	}
	if err := payload.Decode(&greeting); err != nil {
		return err
	}
	greeting.Text += ", " + h.visitor.Name
	return ch.Push(event, greeting)
}

// A handler intercepts an event to push something else to each client. Other
// events are encoded once for all clients.
func ExampleOutHandler() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.ChannelWith("lobby", websocket.ChannelConfig{Intercept: []string{"greeting"}}, func(v Visitor, _ string) websocket.Handler {
			return personal{visitor: v}
		})
	})
	t := &exampleTB{}
	defer t.end()
	ann := channeltest.Connect(t, endpoint, "/socket/websocket?name=ann").Join("lobby", nil)
	bob := channeltest.Connect(t, endpoint, "/socket/websocket?name=bob").Join("lobby", nil)
	n, err := endpoint.Broadcast(context.Background(), "lobby", "greeting", map[string]string{"text": "good morning"})
	fmt.Println(n, err)
	ann.AssertPush("greeting", map[string]string{"text": "good morning, ann"})
	bob.Refute("greeting", 10*time.Millisecond)
	// Output: 2 <nil>
}

// distinct gathers numbers and pushes each of them once, in the order of their
// first arrival, when the window is over.
type distinct struct {
	open
	waiting []int
}

const window = 200 * time.Millisecond

func (d *distinct) HandleOut(_ context.Context, ch *websocket.Channel, _ string, payload websocket.Payload) error {
	var number struct {
		Value int `json:"value"`
	}
	if err := payload.Decode(&number); err != nil {
		return err
	}
	n := number.Value
	for _, other := range d.waiting {
		if other == n {
			return nil
		}
	}
	if d.waiting = append(d.waiting, n); len(d.waiting) == 1 {
		ch.SendAfter(window, "drain")
	}
	return nil
}

func (d *distinct) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	for _, n := range d.waiting {
		if err := ch.Push("number", map[string]int{"value": n}); err != nil {
			return err
		}
	}
	d.waiting = nil
	return nil
}

// Three hundred broadcasts of 1, 2, 3 arrive as 1, 2, 3.
func ExampleOutHandler_dedupe() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.ChannelWith("dupe", websocket.ChannelConfig{Intercept: []string{"number"}}, func(Visitor, string) websocket.Handler { return &distinct{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("dupe", nil)
	taken := 0
	for range 100 {
		for n := 1; n <= 3; n++ {
			got, err := endpoint.Broadcast(context.Background(), "dupe", "number", map[string]int{"value": n})
			if err != nil {
				fmt.Println(err)
			}
			taken += got
		}
	}
	for n := 1; n <= 3; n++ {
		ch.AssertPush("number", map[string]int{"value": n})
	}
	ch.Refute("number", 10*time.Millisecond)
	fmt.Println(taken > 3)
	// Output: true
}

type mailboxed struct{ open }

func (mailboxed) HandleInfo(_ context.Context, ch *websocket.Channel, msg any) error {
	switch m := msg.(type) {
	case string:
		return ch.Push("said", map[string]string{"text": m})
	case *pubsub.Message: // of another topic
		return ch.Push("weather", m.Payload)
	}
	return nil
}

func (mailboxed) HandleIn(_ context.Context, ch *websocket.Channel, event string, _ websocket.Payload) (websocket.Reply, error) {
	switch event {
	case "watch":
		return websocket.OK(nil), ch.Subscribe("weather")
	case "ignore":
		ch.Unsubscribe("weather")
		return websocket.OK(nil), nil
	}
	ch.SendAfter(10*time.Millisecond, "later") // and now to the inbox
	return websocket.OK(nil), ch.Send("now")
}

// Messages of the program come one after another with everything else a
// handler does.
func ExampleInfoHandler() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("room", func(Visitor, string) websocket.Handler { return mailboxed{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	ch.Push("remind", nil).AssertReply("ok", nil)
	ch.AssertPush("said", map[string]string{"text": "now"})
	ch.AssertPush("said", map[string]string{"text": "later"})
	fmt.Println(t.failed)
	// Output: false
}

// A channel listens to another topic for a while.
func ExampleChannel_Subscribe() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("room", func(Visitor, string) websocket.Handler { return mailboxed{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	ctx := context.Background()
	for _, event := range []string{"watch", "ignore"} {
		ch.Push(event, nil).AssertReply("ok", nil)
		n, err := endpoint.Broadcast(ctx, "weather", "changed", map[string]string{"sky": "blue"})
		fmt.Println(n, err)
	}
	ch.AssertPush("weather", map[string]string{"sky": "blue"}) // under its own topic
	ch.Refute("weather", 10*time.Millisecond)
	// Output:
	// 1 <nil>
	// 0 <nil>
}

type leaver struct {
	open
	reasons chan error
}

func (h leaver) HandleTerminate(_ context.Context, _ *websocket.Channel, reason error) {
	h.reasons <- reason
}

// A handler receives the reason why its channel has ended.
func ExampleTerminateHandler() {
	reasons := make(chan error)
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("room", func(Visitor, string) websocket.Handler { return leaver{reasons: reasons} })
	})
	t := &exampleTB{}
	defer t.end()
	c := channeltest.Connect(t, endpoint, "/socket/websocket")
	c.Join("room", nil).Push("phx_leave", nil)
	fmt.Println(<-reasons)
	c.Join("room", nil)
	go c.Close()
	fmt.Println(errors.Is(<-reasons, websocket.ErrClosed))
	// Output:
	// websocket: client left
	// true
}

type speaker struct{ open }

func (speaker) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	var err error
	switch event {
	case "to all":
		_, err = ch.Broadcast(ctx, "said", p)
	case "to others":
		_, err = ch.BroadcastFrom(ctx, "said", p)
	case "to this node":
		_, err = ch.LocalBroadcast("said", p)
	case "to me":
		err = ch.Push("said", p)
	}
	return websocket.Reply{}, err
}

// A channel talks to its own client, to all, or to all others.
func ExampleChannel_BroadcastFrom() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("room", func(Visitor, string) websocket.Handler { return speaker{} })
	})
	t := &exampleTB{}
	defer t.end()
	ann := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	bob := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	for _, event := range []string{"to all", "to others", "to this node"} {
		ann.Push(event, map[string]string{"how": event})
		bob.AssertBroadcast("said", map[string]string{"how": event})
	}
	ann.Push("to me", nil)
	ann.AssertBroadcast("said", map[string]string{"how": "to all"})
	ann.AssertBroadcast("said", map[string]string{"how": "to this node"})
	ann.AssertPush("said", nil)
	ann.Refute("said", 10*time.Millisecond)
	fmt.Println(t.failed)
	// Output: false
}

type slow struct{ open }

func (slow) HandleIn(_ context.Context, ch *websocket.Channel, _ string, p websocket.Payload) (websocket.Reply, error) {
	ref, err := ch.Ref()
	if err != nil {
		return websocket.Reply{}, err
	}
	err = ch.Go(func(ctx context.Context) {
		select {
		case <-time.After(50 * time.Millisecond): // a slow database
		case <-ctx.Done(): // the channel has ended
			return
		}
		_ = ref.Reply(websocket.OK(p)) // the client may be gone
	})
	if errors.Is(err, websocket.ErrTooManyTasks) {
		return websocket.Fail(map[string]string{"reason": "busy"}), nil
	}
	return websocket.Reply{}, err
}

// A slow reply does not hold up the channel, and no client has more than two
// under way.
func ExampleChannel_Go() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.ChannelWith("room", websocket.ChannelConfig{MaxTasks: 2}, func(Visitor, string) websocket.Handler { return slow{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	var pushes []*channeltest.Push
	for n := range 3 {
		pushes = append(pushes, ch.Push("look up", map[string]int{"n": n}))
	}
	for _, p := range pushes {
		status, response := p.Reply()
		fmt.Println(status, string(response))
	}
	// Output:
	// ok {"n":0}
	// ok {"n":1}
	// error {"reason":"busy"}
}

type clock struct{ n int }

func (*clock) HandleJoin(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	ch.SendEvery(10*time.Millisecond, "tick") // until the channel ends
	return nil, nil
}

func (c *clock) HandleInfo(_ context.Context, ch *websocket.Channel, _ any) error {
	c.n++
	return ch.Push("token", map[string]int{"n": c.n})
}

// A channel pushes something new again and again, such as a fresh token.
func ExampleChannel_SendEvery() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("tokens", func(Visitor, string) websocket.Handler { return &clock{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("tokens", nil)
	for n := 1; n <= 3; n++ {
		ch.AssertPush("token", map[string]int{"n": n})
	}
	ch.Leave()
	fmt.Println(t.failed)
	// Output: false
}

// The id of the socket closes all connections of a user, on all nodes.
func ExampleEndpoint_Disconnect() {
	endpoint := serving(func(*websocket.Socket[Visitor]) {})
	t := &exampleTB{}
	defer t.end()
	phone := channeltest.Connect(t, endpoint, "/socket/websocket?name=ann")
	laptop := channeltest.Connect(t, endpoint, "/socket/websocket?name=ann")
	n, err := endpoint.Disconnect(context.Background(), "visitor:ann")
	fmt.Println(n, err)
	phone.AssertClosed(1001)
	laptop.AssertClosed(1001)
	// Output: 2 <nil>
}

// A client that does not keep up gets the latest price of each item, and never
// an old one after a newer one.
func ExampleChannelConfig_conflate() {
	type price struct {
		Item  string `json:"item"`
		Cents int    `json:"cents"`
	}
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.ChannelWith("prices", websocket.ChannelConfig{
			Overflow: websocket.DropOldest,
			Conflate: func(_ string, payload websocket.Payload) string {
				var p price
				if payload.Decode(&p) != nil {
					return "" // never conflated
				}
				return p.Item
			},
		}, func(Visitor, string) websocket.Handler { return open{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("prices", nil)
	for cents := range 1000 {
		if n, err := endpoint.Broadcast(context.Background(), "prices", "price", price{"shoe", cents}); n != 1 || err != nil {
			fmt.Println(n, err)
		}
	}
	ch.AssertBroadcast("price", price{"shoe", 999}) // whatever was left out
	fmt.Println(t.failed)
	// Output: false
}
