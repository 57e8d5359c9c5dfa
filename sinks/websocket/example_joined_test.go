package websocket_test

import (
	"context"
	"fmt"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
)

// welcoming pushes what its client should know before anything else.
type welcoming struct{ open }

func (welcoming) HandleJoined(_ context.Context, ch *websocket.Channel) error {
	return ch.Push("welcome", map[string]string{"topic": ch.Topic()})
}

// The first push to a client, after the reply to its join.
func ExampleJoinedHandler() {
	endpoint := serving(func(s *websocket.Socket[Visitor]) {
		s.Channel("room", func(Visitor, string) websocket.Handler { return welcoming{} })
	})
	t := &exampleTB{}
	defer t.end()
	ch := channeltest.Connect(t, endpoint, "/socket/websocket").Join("room", nil)
	ch.AssertPush("welcome", map[string]string{"topic": "room"})
	fmt.Println(t.failed)
	// Output: false
}
