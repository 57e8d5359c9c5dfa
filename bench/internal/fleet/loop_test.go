//go:build linux

package fleet

import (
	"net"
	"sync"
	"testing"
)

// Loops dial at the same time. To connect writes into the address, so that each has its own: the
// race detector sees a shared one.
func TestLoopsDialAtOnce(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	f, err := New(Config{Server: server.Addr().String(), Loops: 4, Paths: make([]string, 16)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	var dials sync.WaitGroup
	for _, l := range f.loops {
		dials.Go(func() {
			l.mu.Lock()
			l.connect(len(l.clients))
			l.mu.Unlock()
		})
	}
	dials.Wait()
	if err := f.Failure(); err != nil {
		t.Error(err)
	}
}
