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

// user is the state of a socket: the user that its token names.
type user struct{ id string }

// connect accepts a connection that has a valid token, which names its user.
func connect(tokens *token.Phoenix) func(context.Context, *websocket.ConnectRequest) (user, error) {
	return func(_ context.Context, r *websocket.ConnectRequest) (user, error) {
		// The token comes in a subprotocol, or in the query from clients without that.
		data, err := tokens.Verify(tokenSalt, cmp.Or(r.AuthToken, r.Params.Get("token")), token.VerifyConfig{MaxAge: tokenAge})
		if err != nil {
			return user{}, err
		}
		// The signature is valid: only a token made by another program with the
		// same secret fails here.
		id, ok := data.(string)
		if !ok || checkUserID(id) != nil {
			return user{}, fmt.Errorf("%w: not a user's", token.ErrInvalid)
		}
		return user{id}, nil
	}
}

// userChannel is the handler of user:ID, which only that user may join. It takes no
// events: pushes go from the server to the client only.
func userChannel(u user, topic string) websocket.Handler {
	return websocket.HandlerFunc(func(context.Context, *websocket.Channel, websocket.Payload) (any, error) {
		// The token decides who the user is, and the topic must name the same one.
		if topic != topicOf(u.id) {
			return nil, websocket.Refuse("unauthorized")
		}
		return nil, nil
	})
}
