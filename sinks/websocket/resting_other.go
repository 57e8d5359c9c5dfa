//go:build !linux

package websocket

import "time"

// resting is for connections without a goroutine, which need Linux.
type resting struct {
	work  *tracker
	after time.Duration
}

func (*resting) add(*conn) bool { return false }
func (*resting) rouse(*conn)    {}

type restful struct{}
