//go:build !race

package websocket_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// The race detector's goroutines and allocations are larger: hence the tag.

// TestIdleConnectionsAreSmall pins what an idle connection that has joined a
// topic, and has sent a heartbeat since, holds: no stack, or one of 2 KiB, and a
// heap of which net's and this test's own sockets are a part.
func TestIdleConnectionsAreSmall(t *testing.T) {
	f := start(t, setup{}, func(f *fixture) {
		f.socket.Channel("user:*", func(user, string) websocket.Handler { return &app{} })
	})
	const n = 1000
	measure := func() (stack, heap int64) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.StackInuse), int64(m.HeapAlloc)
	}
	f.raw() // what is made once
	stack, heap := measure()
	clients := make([]*rawClient, n)
	for i := range clients {
		c := f.raw()
		c.frame(0x81, fmt.Appendf(nil, `["1","1","user:%d","phx_join",{}]`, i))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		c.frame(0x81, []byte(`[null,"2","phoenix","heartbeat",{}]`))
		if _, _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		c.r = nil // the client's buffer does not count
		clients[i] = c
	}
	// On Linux they are at rest; what is left then is of other goroutines and not the same
	// each time.
	goroutines, most := n+30, int64(3000) // the next size of a stack would be 4 KiB
	if runtime.GOOS == "linux" {
		goroutines, most = 30, 1000
	}
	eventually(t, func() bool { return runtime.NumGoroutine() < goroutines })
	moreStack, moreHeap := measure()
	stack, heap = (moreStack-stack)/n, (moreHeap-heap)/n
	t.Logf("%d bytes of stack and %d of heap for each", stack, heap)
	if stack > most {
		t.Errorf("%d bytes of stack for each, want %d at most", stack, most)
	}
	if heap > 3500 {
		t.Errorf("%d bytes of heap for each, want 3,500 at most", heap)
	}
	runtime.KeepAlive(clients)
}
