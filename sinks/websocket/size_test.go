package websocket

import (
	"testing"
	"unsafe"
)

// TestConnectionsStaySmall pins the size beyond which an object with pointers has a header, and
// so takes the next class.
func TestConnectionsStaySmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 320 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a connection has %d bytes, want 320 at most", size)
	}
}
