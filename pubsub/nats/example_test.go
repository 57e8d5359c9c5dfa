package nats_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/nats"
	"github.com/penstock-go/penstock/pubsub/nats/embedded"
)

// Two nodes at one server: what one of them broadcasts reaches the other.
func ExampleNew() {
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var hubs []*pubsub.Hub
	for _, name := range []string{"a", "b"} {
		remote, err := nats.New(nats.Config{Node: name, Options: server.Options(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			fmt.Println(err)
			return
		}
		hub, err := pubsub.New(pubsub.Config{Remote: remote})
		if err != nil {
			fmt.Println(err)
			return
		}
		running.Go(func() {
			if err := hub.Run(ctx); err != nil {
				fmt.Println(err)
			}
		})
		if err := remote.Sync(ctx); err != nil { // until it is connected
			fmt.Println(err)
			return
		}
		hubs = append(hubs, hub)
	}

	got := make(chan string)
	_, err = hubs[1].Subscribe("room:1", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		got <- fmt.Sprintf("%s from node %s: %s", m.Event, m.Origin(), m.Payload)
		return true
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	hubs[1].Settle(ctx, "room:1")
	if _, err := hubs[0].Broadcast(ctx, "room:1", "new_msg", map[string]string{"body": "hello"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-got)
	// Output: new_msg from node a: {"body":"hello"}
}
