package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/sinks/websocket"
	"github.com/penstock-go/penstock/token"
)

// tokenSalt and tokenAge are what socket tokens are made and checked with.
const (
	tokenSalt = "user socket"
	tokenAge  = 24 * time.Hour
)

// user is who is behind a socket.
type user struct{ id string }

// connect lets in whoever has a token for a user.
func connect(tokens *token.Phoenix) func(context.Context, *websocket.ConnectRequest) (user, error) {
	return func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		data, err := tokens.Verify(tokenSalt, cmp.Or(r.AuthToken, r.Params.Get("token")), token.CheckOptions{MaxAge: tokenAge})
		if err != nil {
			return user{}, err
		}
		id, ok := data.(string)
		if !ok || checkUserID(id) != nil {
			return user{}, fmt.Errorf("%w: not a user's", token.ErrInvalid)
		}
		return user{id}, nil
	}
}

// userChannel is user:ID, which only that user may join. It measures what is
// pushed to it.
type userChannel struct {
	user  user
	lobby *lobby
}

// joined is what a channel tells itself behind its join.
type joined struct{}

// Join implements websocket.Handler.
func (c *userChannel) Join(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	if ch.Topic() != "user:"+c.user.id {
		return nil, websocket.Refuse("unauthorized")
	}
	return nil, ch.Send(joined{})
}

// Intercept implements websocket.OutHandler.
func (c *userChannel) Intercept() []string { return []string{event} }

// HandleOut implements websocket.OutHandler.
func (c *userChannel) HandleOut(_ context.Context, ch *websocket.Channel, event string, payload any) error {
	v, ok := payload.(*delivery)
	if !ok {
		return errors.New("not a delivery")
	}
	return ch.PushWritten(event, v.payload, v.Delivered)
}

// HandleInfo implements websocket.InfoHandler: what waited for this user goes
// out now that the channel takes broadcasts.
func (c *userChannel) HandleInfo(_ context.Context, _ *websocket.Channel, msg any) error {
	if _, ok := msg.(joined); ok {
		c.lobby.arrived(c.user.id)
	}
	return nil
}
