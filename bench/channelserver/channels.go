package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// user is the state of a socket.
type user struct{ ID string }

// userChannel is the private topic of one user.
type userChannel struct{ user user }

func (c *userChannel) HandleJoin(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	if ch.Topic() != "user:"+c.user.ID {
		return nil, websocket.Refuse("unauthorized")
	}
	return nil, nil
}

func (c *userChannel) HandleIn(_ context.Context, _ *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	switch event {
	case "echo":
		return websocket.OK(p), nil
	case "crash":
		panic("crash requested")
	}
	return websocket.Reply{}, fmt.Errorf("unknown event %q", event)
}

// roomChannel is a room that every user may join.
type roomChannel struct{ user user }

func (c *roomChannel) HandleJoin(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	switch ch.Topic() {
	case "room:forbidden":
		return nil, websocket.Refuse("unauthorized")
	case "room:crash":
		panic("crash requested")
	}
	return nil, nil
}

func (c *roomChannel) HandleIn(ctx context.Context, ch *websocket.Channel, event string, p websocket.Payload) (websocket.Reply, error) {
	none := websocket.Reply{}
	switch event {
	case "echo":
		return websocket.OK(p), nil
	case "new_msg":
		if _, err := ch.Broadcast(ctx, event, p); err != nil {
			return none, err
		}
		return websocket.OK(nil), nil
	case "new_msg_from":
		_, err := ch.BroadcastFrom(ctx, event, p)
		return none, err
	case "intercepted":
		_, err := ch.Broadcast(ctx, event, p)
		return none, err
	case "bin":
		return websocket.OK(websocket.Binary(append(p.Data, 3, 4))), nil
	case "bin_bcast":
		_, err := ch.Broadcast(ctx, "bin", p)
		return none, err
	case "bin_push":
		return websocket.OK(nil), ch.Push("bin", p)
	case "fail":
		return websocket.Fail(p), nil
	case "stop":
		return none, websocket.ErrStopped
	case "stop_reply":
		return websocket.OK(map[string]int{"bye": 1}), websocket.ErrStopped
	case "crash":
		panic("crash requested")
	}
	return none, fmt.Errorf("unknown event %q", event)
}

func (c *roomChannel) HandleOut(_ context.Context, ch *websocket.Channel, event string, payload websocket.Payload) error {
	fields := map[string]json.RawMessage{}
	if err := payload.Decode(&fields); err != nil {
		return err
	}
	id, err := json.Marshal(c.user.ID)
	if err != nil {
		return err
	}
	fields["user"] = id
	return ch.Push(event, fields)
}

func (c *roomChannel) HandleTerminate(_ context.Context, ch *websocket.Channel, reason error) {
	if ch.Topic() == "room:term" && !errors.Is(reason, websocket.ErrClosed) {
		_ = ch.Push("you_left", nil) // the client may be gone
	}
}
