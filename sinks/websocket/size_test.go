package websocket

import (
	"testing"
	"unsafe"
)

// TestConnectionsStaySmall pins the size beyond which an object with pointers has a header, and
// so takes the next class of 640 bytes.
func TestConnectionsStaySmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 512 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a connection has %d bytes, want 512 at most", size)
	}
}
