package pubsub_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/pubsubtest"
)

// Two nodes, here in one process: a broadcast on one reaches the subscriber of the
// other.
func ExampleHub_Run() {
	network := pubsubtest.NewNetwork() // a program has the remote of a backplane
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	node := func(name string) *pubsub.Hub {
		hub, err := pubsub.New(pubsub.Config{Remote: network.Remote(name)})
		if err != nil {
			panic(err)
		}
		running.Go(func() {
			if err := hub.Run(ctx); err != nil {
				fmt.Println(err)
			}
		})
		return hub
	}
	paris, oslo := node("paris"), node("oslo")
	got := make(chan string, 1)
	if _, err := oslo.Subscribe("news", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		select {
		case got <- fmt.Sprint(m.Topic, " ", m.Event, " ", m.Payload, " from ", m.Origin()):
		default: // it is enough to have one
		}
		return true
	})); err != nil {
		fmt.Println(err)
	}
	for arrived := false; !arrived; { // until both nodes have connected
		_, _ = paris.Broadcast(ctx, "news", "flash", map[string]int{"n": 1}) // a *RemoteError before that
		select {
		case text := <-got:
			fmt.Println(text)
			arrived = true
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	running.Wait()
	// Output: news flash {"n":1} from paris
}
