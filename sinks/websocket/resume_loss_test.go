package websocket_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// cable is a remote without other nodes, through which a test can report losses.
type cable struct{ in chan pubsub.Receiver }

func (c *cable) Node() string { return "here" }

func (c *cable) Run(ctx context.Context, in pubsub.Receiver) error {
	c.in <- in
	<-ctx.Done()
	return nil
}

func (c *cable) Publish(context.Context, string, *pubsub.Message) (int, error) { return 0, nil }

// TestALossClosesTheConnectionsThatResume pins that a client which follows a
// history is disconnected when messages of another node may have been lost, so
// that it joins again and is told.
func TestALossClosesTheConnectionsThatResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
		if err != nil {
			t.Fatal(err)
		}
		remote := &cable{in: make(chan pubsub.Receiver, 1)}
		hub, err := pubsub.New(pubsub.Config{History: h, Remote: remote})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- hub.Run(ctx) }()
		f := start(t, setup{pipes: true, endpoint: websocket.EndpointConfig{PubSub: hub}, channels: map[string]*app{"room:*": {}}}, func(f *fixture) {
			f.socket.ChannelWith("kept:*", websocket.ChannelConfig{Resume: true}, func(user, string) websocket.Handler { return &app{} })
		})
		follows, plain := f.connect("1"), f.connect("2")
		follows.send(`["1","1","kept:a","phx_join",{}]`)
		follows.read()
		plain.join(1, "room:a")
		(<-remote.in).Lost("")
		if code := follows.closed(); code != 1013 {
			t.Errorf("closed with %d, want 1013", code)
		}
		f.broadcast("room:a", 0, 1)
		plain.expect(`[null,null,"room:a","e",{"n":0}]`)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
