package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// presenceChannel tracks who has joined it.
type presenceChannel struct {
	user    user
	tracker *presence.Tracker
	params  map[string]json.RawMessage
}

func (c *presenceChannel) HandleJoin(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
	// A join without an object has no params to show.
	if p.Decode(&c.params) != nil || c.params == nil {
		c.params = map[string]json.RawMessage{}
	}
	return nil, ch.Send("joined")
}

func (c *presenceChannel) HandleInfo(ctx context.Context, ch *websocket.Channel, _ any) error {
	online, err := json.Marshal(time.Now().Unix())
	if err != nil {
		return err
	}
	c.params["online_at"] = online
	if _, err := c.tracker.Track(ch.Context(), ch.Topic(), c.user.ID, c.params); err != nil {
		return err
	}
	return c.tracker.PushState(ctx, ch.Topic(), ch.PushWritten)
}

func (c *presenceChannel) HandleIn(_ context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	if event != "update" {
		return websocket.Reply{}, fmt.Errorf("unknown event %q", event)
	}
	if _, err := c.tracker.Update(ch.Context(), ch.Topic(), c.user.ID, json.RawMessage(p.Data)); err != nil {
		return websocket.Reply{}, err
	}
	return websocket.OK(nil), nil
}
