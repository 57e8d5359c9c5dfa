//go:build !linux

package websocket

import (
	"errors"
	"testing"
)

// TestEventLoopNeedsLinux: nothing is ignored in silence.
func TestEventLoopNeedsLinux(t *testing.T) {
	var refused *OptionError
	if _, err := NewEndpoint(EndpointConfig{EventLoop: true}); !errors.As(err, &refused) {
		t.Errorf("%v, want an OptionError", err)
	}
}
