package main

import (
	"cmp"
	"context"
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

// HandleJoin implements websocket.Handler.
func (c *userChannel) HandleJoin(_ context.Context, ch *websocket.Channel, _ websocket.Payload) (any, error) {
	if ch.Topic() != "user:"+c.user.id {
		return nil, websocket.Refuse("unauthorized")
	}
	return nil, ch.Send(joined{})
}

// HandleInfo implements websocket.InfoHandler: the channel takes pushes now.
func (c *userChannel) HandleInfo(_ context.Context, ch *websocket.Channel, msg any) error {
	if _, ok := msg.(joined); ok {
		c.lobby.joined(c.user.id, ch)
	}
	return nil
}

// HandleTerminate implements websocket.TerminateHandler.
func (c *userChannel) HandleTerminate(_ context.Context, ch *websocket.Channel, _ error) {
	c.lobby.left(c.user.id, ch)
}
