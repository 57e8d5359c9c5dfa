package websocket

import (
	"testing"
	"unsafe"
)

// TestConnectionsInLoopsStaySmall pins the same for those in event loops, with their sockets.
func TestConnectionsInLoopsStaySmall(t *testing.T) {
	if size := unsafe.Sizeof(loopConn{}); size > 352 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a connection has %d bytes, want 352 at most", size)
	}
}
