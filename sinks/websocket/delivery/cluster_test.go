package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
	"github.com/penstock-go/penstock/sinks/websocket/channeltest"
	"github.com/penstock-go/penstock/sinks/websocket/delivery"
)

// TestAUserOfAnotherNode: pushes are consumed on node a, and the user's client is
// at b, then nowhere, then at b again.
func TestAUserOfAnotherNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := pubsubtest.NewNetwork()
		a, _ := network.Hub(t, "a", pubsub.Config{})
		b, _ := network.Hub(t, "b", pubsub.Config{})
		there := newEndpoint(t, b, options{})
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := there.Shutdown(ctx); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		r := start(t, options{hub: a, config: delivery.Config[push]{Grace: 10 * time.Second}})
		c := channeltest.Connect(t, there, "/socket/websocket")
		ch := c.Join("user:1", nil)
		synctest.Wait()
		first := r.push("1", "1")
		ch.AssertBroadcast("push", payload{first})
		ch.AssertBroadcast("push", payload{first + 1})
		r.expect(first, done, done)

		c.Close()
		synctest.Wait()
		first = r.push("1", "1")
		pass(3 * time.Second)
		r.expect(first, "")
		ch = channeltest.Connect(t, there, "/socket/websocket").Join("user:1", nil)
		ch.AssertBroadcast("push", payload{first})
		ch.AssertBroadcast("push", payload{first + 1})
		r.expect(first, done, done)

		// No node has the user.
		first = r.push("2")
		pass(10 * time.Second)
		r.expect(first, noSubscriber)
		// The other node does not answer.
		network.Freeze("b")
		first = r.push("1")
		pass(20 * time.Second)
		r.expect(first, string(delivery.NoAnswer))
		network.Thaw("b")
	})
}
