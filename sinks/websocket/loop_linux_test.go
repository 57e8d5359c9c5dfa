package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// descriptors returns how many this process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// inLoops reports how many connections are in loops.
func (e *restless) inLoops() (n int) {
	for _, l := range e.loops {
		l.mu.Lock()
		n += l.n
		l.mu.Unlock()
	}
	return n
}

// TestLoopMessagesByteByByte: a message may come in any portions, and what is in a portion
// after its end is the next one.
func TestLoopMessagesByteByByte(t *testing.T) {
	e := newRestless(t, MountConfig{}, true)
	g := e.join()
	if e.inLoops() != 1 {
		t.Fatal("the connection is not in a loop")
	}
	frame := append([]byte{0x81, 0x80 | byte(len(heartbeat)), 0, 0, 0, 0}, heartbeat...)
	three := bytes.Repeat(frame, 3)
	for size := 1; size <= len(three); size += 1 + size/3 {
		for rest := three; len(rest) > 0; {
			n := min(size, len(rest))
			_, _ = g.Write(rest[:n])
			rest = rest[n:]
			if size < 4 {
				time.Sleep(50 * time.Microsecond) // so that many portions come alone
			}
		}
		for range 3 {
			e.hears(g, alive)
		}
	}
	e.until("rest", func() bool { return e.atRest() == 1 })
}

// TestLoopEndsAmidAFrame: a client that goes in the middle of a frame, or says nothing more, is
// noticed, whether it closes or resets.
func TestLoopEndsAmidAFrame(t *testing.T) {
	e := newRestless(t, MountConfig{Timeouts: Timeouts{Message: 100 * time.Millisecond}}, true)
	frame := append([]byte{0x81, 0x80 | byte(len(heartbeat)), 0, 0, 0, 0}, heartbeat...)
	for n := range len(frame) {
		g := e.join()
		_, _ = g.Write(frame[:n])
		switch n % 3 {
		case 0:
			_ = g.Close()
		case 1:
			_ = g.Conn.(*net.TCPConn).SetLinger(0)
			_ = g.Close()
		default:
			_ = g.Conn.(*net.TCPConn).CloseWrite()
		}
	}
	e.until("the end of all", func() bool { return e.Snapshot().Connections == 0 })
	g := e.join()
	_, _ = g.Write(frame[:10])
	e.hears(g, "\x03\xf0message in bad fragments or too slow") // 1008
}

// TestLoopSlowReader: what a client does not take waits until it does, in order, and other
// connections go on meanwhile.
func TestLoopSlowReader(t *testing.T) {
	inBothModes(t, func(t *testing.T, endpoint func(MountConfig) *restless) {
		// The client reads nothing until all is queued, however long that takes here.
		e := endpoint(MountConfig{Queue: QueueConfig{Events: 1 << 16, Bytes: 64 << 20}, Timeouts: Timeouts{Write: NoTimeout}})
		// Before the handshake of TCP. Linux cuts segments to half of the largest window that it was
		// offered, and one that does not fit into the window waits for a timer of 200 ms and more: so
		// it goes, in both modes, once a buffer shrinks to less than that.
		e.dialer.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
		}
		slow := e.join()
		e.dialer.Control = nil
		other := e.connect()
		other.say(`["1","1","room:b","phx_join",{}]`)
		e.hears(other, `["1","1","room:b","phx_reply",{"response":{},"status":"ok"}]`)
		pad, n := strings.Repeat("x", 60_000), 200
		for i := range n {
			if _, err := e.LocalBroadcast("room:a", "e", map[string]any{"n": i, "pad": pad}); err != nil {
				t.Fatal(err)
			}
		}
		e.until("a queue that waits for its client", func() bool { return e.apartBytes.Load() > 1<<20 })
		other.say(heartbeat)
		e.hears(other, alive)
		_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second))
		for i := range n {
			head := make([]byte, 4) // of a length of 16 bits
			if _, err := io.ReadFull(slow.r, head); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, int(head[2])<<8|int(head[3]))
			if _, err := io.ReadFull(slow.r, p); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf(`[null,null,"room:a","e",{"n":%d,`, i); !bytes.HasPrefix(p, []byte(want)) {
				t.Fatalf("got %.60s, want %s", p, want)
			}
		}
		slow.say(heartbeat)
		e.hears(slow, alive)
	})
}

// TestLoopClientThatNeverReads: the write deadline ends it.
func TestLoopClientThatNeverReads(t *testing.T) {
	e := newRestless(t, MountConfig{Queue: QueueConfig{Events: 1 << 16, Bytes: 64 << 20}, Timeouts: Timeouts{Write: 200 * time.Millisecond}}, true)
	e.join()
	for range 300 {
		if _, err := e.LocalBroadcast("room:a", "e", map[string]any{"pad": strings.Repeat("x", 60_000)}); err != nil {
			t.Fatal(err)
		}
	}
	e.until("the end", func() bool { return e.Snapshot().Connections == 0 })
}

// TestLoopLeaksNoDescriptor: thousands of connections that come and go, however they end, leave
// no descriptor, and no goroutine is needed for those that stay.
func TestLoopLeaksNoDescriptor(t *testing.T) {
	e := newRestless(t, MountConfig{}, true)
	first := e.join()
	before := descriptors(t)
	const workers, each = 20, 100
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				nc, err := net.Dial("tcp", e.addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
				b := make([]byte, 1024)
				_, _ = nc.Read(b)
				switch (w + i) % 4 {
				case 0: // a close frame
					_, _ = nc.Write([]byte{0x88, 0x80, 0, 0, 0, 0})
					_, _ = nc.Read(b)
				case 1:
					_ = nc.(*net.TCPConn).SetLinger(0)
				case 2: // no frame of WebSocket
					_, _ = nc.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
				}
				_ = nc.Close()
			}
		})
	}
	group.Wait()
	e.until("the end of all but one", func() bool { return e.Snapshot().Connections == 1 && e.inLoops() == 1 })
	e.until("no descriptor more", func() bool { return descriptors(t) <= before })
	first.say(heartbeat)
	e.hears(first, alive)
}

// TestLoopShutdown: connections that are open, at rest and amid a message, are closed with the
// code of the shutdown, and the loop ends.
func TestLoopShutdown(t *testing.T) {
	e := newRestless(t, MountConfig{Timeouts: Timeouts{Close: 200 * time.Millisecond}}, true)
	before := descriptors(t)
	var guests []*guest
	for i := range 40 {
		g := e.join()
		if i%2 == 0 {
			_, _ = g.Write([]byte{0x81, 0x85, 0, 0, 0})
		}
		guests = append(guests, g)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Close(ctx) }()
	for _, g := range guests {
		e.hears(g, "\x03\xe9server shuts down") // 1001
		if _, err := g.hear(); err != io.EOF {
			t.Error(err)
		}
		_ = g.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	e.until("no descriptor more", func() bool { return descriptors(t) <= before })
}

// TestLoopIsForPlainTCP: a connection with TLS works, and is not in a loop.
func TestLoopIsForPlainTCP(t *testing.T) {
	e := newRestless(t, MountConfig{}, true)
	server := httptest.NewTLSServer(e)
	defer server.Close()
	nc, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	b := make([]byte, 1024)
	if n, err := nc.Read(b); err != nil || !bytes.Contains(b[:n], []byte("101 Switching")) {
		t.Fatal(string(b[:n]), err)
	}
	if n := e.Snapshot().Connections; n != 1 || e.inLoops() != 0 {
		t.Errorf("%d connections, %d in loops", n, e.inLoops())
	}
}

// TestLoopWithoutDescriptors: a connection for which there is no second descriptor stays where
// it is.
func TestLoopWithoutDescriptors(t *testing.T) {
	e := newRestless(t, MountConfig{}, true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 3 // nothing more can be opened
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	c, failed := e.takeOver(nc)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if c != nil || failed == nil {
		t.Fatalf("%v, %v, want an error", c, failed)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("the connection is broken: %d, %v", n, err)
	}
}
