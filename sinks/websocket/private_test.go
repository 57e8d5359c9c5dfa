package websocket_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// Only the user whose name the topic has may join it.
func TestPrivate(t *testing.T) {
	for _, c := range []struct {
		user, topic string
		joins       bool
	}{
		{"ann", "user:ann", true}, {"a:b", "user:a:b", true}, {"ann", "ann:ann", true},
		{"ann", "user:bob", false}, {"ann", "user:ann2", false}, {"ann2", "user:ann", false}, {"ann", "user:Ann", false},
		{"b", "user:a:b", false}, {"ann", "ann", false}, {"ann", "", false}, {"ann", "user:*", false},
		{"", "user:", false}, {"", "user", false}, {"", "", false},
	} {
		_, err := websocket.Private(c.user, c.topic).HandleJoin(t.Context(), nil, websocket.Payload{})
		var refused *websocket.RefusedError
		if c.joins != (err == nil) || err != nil && (!errors.As(err, &refused) || fmt.Sprint(refused.Response) != "{unauthorized}") {
			t.Errorf("user %q, topic %q: %v", c.user, c.topic, err)
		}
	}
}
