//go:build !linux

package websocket

import "time"

// resting is for connections without a goroutine, which need Linux.
type resting struct {
	work  *tracker
	after time.Duration
}

// add returns false: the connection keeps its goroutine.
func (*resting) add(*conn) bool { return false }

// rouse does nothing, since no connection rests.
func (*resting) rouse(*conn) {}

// restful is empty, since no connection rests.
type restful struct{}
