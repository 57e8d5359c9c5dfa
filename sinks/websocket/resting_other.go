//go:build !linux

package websocket

// resting is for connections without a goroutine, which need Linux.
type resting struct {
	work *tracker
}

// add returns false: the connection keeps its goroutine.
func (*resting) add(*conn) bool { return false }

// use does nothing: there is no epoll to close.
func (*resting) use(bool) {}

// rouse does nothing, since no connection rests.
func (*resting) rouse(*conn) {}

// restful is empty, since no connection rests.
type restful struct{}
