package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/pubsub/redis"
)

// A hub whose Redis cannot be reached serves the subscribers of its own node.
func ExampleNew() {
	remote, err := redis.New(redis.Config{
		Node:    "node-1",
		Options: &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}, // where no Redis is
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := pubsub.New(pubsub.Config{Remote: remote, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		fmt.Println(err)
		return
	}
	// go hub.Run(ctx) connects, and goes on until ctx is done.
	if _, err := hub.Subscribe("room:1", pubsub.SubscriberFunc(func(m *pubsub.Message) bool {
		fmt.Println(m.Event, m.Payload)
		return true
	})); err != nil {
		fmt.Println(err)
		return
	}
	n, err := hub.Broadcast(context.Background(), "room:1", "new_msg", map[string]string{"body": "hello"})
	fmt.Println(n, "here; not connected:", errors.Is(err, redis.ErrNotConnected))
	// Output:
	// new_msg {"body":"hello"}
	// 1 here; not connected: true
}
