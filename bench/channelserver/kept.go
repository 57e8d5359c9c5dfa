package main

import (
	"context"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// newHub makes the hub, with the history of the resumable topics if wanted:
// the load tests are made without. remote is nil without other servers.
func newHub(resume bool, remote pubsub.Remote) (*pubsub.Hub, error) {
	if !resume {
		return pubsub.New(pubsub.Config{Remote: remote})
	}
	history, err := pubsub.NewMemory(pubsub.MemoryConfig{Topics: []string{"kept:*"}})
	if err != nil {
		return nil, err
	}
	return pubsub.New(pubsub.Config{History: history, Remote: remote})
}

// keptChannel is a room that intercepts nothing and can be resumed.
type keptChannel struct{ room roomChannel }

func (c *keptChannel) HandleJoin(ctx context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
	return c.room.HandleJoin(ctx, ch, p)
}

func (c *keptChannel) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	return c.room.HandleIn(ctx, ch, event, p)
}
