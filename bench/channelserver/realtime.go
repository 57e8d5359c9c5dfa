package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/penstock-go/penstock/presence"
	"github.com/penstock-go/penstock/sinks/websocket"
)

// realtimeChannel is a room for clients that were written for Supabase: they
// wrap what they send in the events broadcast and presence, and say in the params
// of the join what they want to have.
type realtimeChannel struct {
	user    user
	tracker *presence.Tracker
	config  realtimeConfig
}

type realtimeConfig struct {
	Broadcast struct {
		Self bool `json:"self"` // gets its own broadcasts
		Ack  bool `json:"ack"`  // gets a reply to each
	} `json:"broadcast"`
	Presence struct {
		Key     string `json:"key"` // default: the user's id
		Enabled bool   `json:"enabled"`
	} `json:"presence"`
}

func (c *realtimeChannel) HandleJoin(_ context.Context, ch *websocket.Channel, p websocket.Payload) (any, error) {
	var params struct {
		Config realtimeConfig `json:"config"`
	}
	if err := p.Decode(&params); err != nil {
		return nil, websocket.Refuse("bad params")
	}
	c.config = params.Config
	if c.config.Presence.Key == "" {
		c.config.Presence.Key = c.user.ID
	}
	return nil, ch.Send("joined")
}

// HandleInfo runs after the reply to the join: presence_state follows it.
func (c *realtimeChannel) HandleInfo(ctx context.Context, ch *websocket.Channel, _ any) error {
	if !c.config.Presence.Enabled {
		return nil
	}
	return c.tracker.PushState(ctx, ch.Topic(), ch.PushWritten)
}

func (c *realtimeChannel) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	none := websocket.Reply{}
	switch event {
	case "broadcast":
		send := ch.BroadcastFrom
		if c.config.Broadcast.Self {
			send = ch.Broadcast
		}
		if _, err := send(ctx, "broadcast", p); err != nil || !c.config.Broadcast.Ack {
			return none, err
		}
		return websocket.OK(nil), nil
	case "presence":
		return websocket.OK(nil), c.track(ch, p)
	case "access_token": // the socket keeps the token that it was connected with
		return none, nil
	}
	return none, fmt.Errorf("unknown event %q", event)
}

func (c *realtimeChannel) track(ch *websocket.Channel, p websocket.Payload) error {
	var wish struct {
		Event   string          `json:"event"` // track or untrack
		Payload json.RawMessage `json:"payload"`
	}
	if err := p.Decode(&wish); err != nil {
		return err
	}
	switch wish.Event {
	case "track":
		_, err := c.tracker.Track(ch.Context(), ch.Topic(), c.config.Presence.Key, wish.Payload)
		return err
	case "untrack":
		c.tracker.Untrack(ch.Context(), ch.Topic(), c.config.Presence.Key)
		return nil
	}
	return fmt.Errorf("unknown presence event %q", wish.Event)
}
