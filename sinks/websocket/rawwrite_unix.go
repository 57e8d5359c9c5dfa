//go:build unix

package websocket

import (
	"net"
	"runtime"
	"syscall"
)

// rawWriter writes to sockets without blocking and without allocating.
type rawWriter struct {
	// What to write; nil between two writes.
	p   []byte
	n   int
	err error
	f   func(fd uintptr) bool
}

// newRawWriter returns a writer for any socket. One goroutine at a time uses it.
func newRawWriter() *rawWriter {
	w := &rawWriter{}
	// A method value allocates: it is made once for each writer.
	w.f = w.once
	return w
}

// write writes as much as the socket takes at once, which may be nothing.
func (w *rawWriter) write(raw syscall.RawConn, p []byte) (int, error) {
	w.p, w.n, w.err = p, 0, nil
	err := raw.Write(w.f)
	// The pool must not keep the frames alive.
	w.p = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// once always returns true, so that nothing waits for the socket.
func (w *rawWriter) once(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.p)
		switch err {
		case nil:
			w.n = n
		case syscall.EINTR:
			continue
		// The socket's buffer is full: n stays 0, and the caller waits elsewhere.
		case syscall.EAGAIN:
		default:
			w.err = err
		}
		return true
	}
}

// rawConn returns the socket of a plain TCP connection, or nil for any other, such
// as a TLS connection, whose writes need a goroutine.
func rawConn(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	// Without the bound, more bytes wait in the operating system.
	_ = raw.Control(boundUnsent)
	return raw
}

// maxUnsent bounds the bytes that the operating system takes before the client has
// room for them. Without it Linux takes megabytes, which no policy can discard
// and which are stale when a slow client reads them.
const maxUnsent = 16 << 10

// unsentOption is TCP_NOTSENT_LOWAT, which syscall does not have everywhere.
var unsentOption = map[string]int{"linux": 0x19, "darwin": 0x201}[runtime.GOOS]

// boundUnsent sets the bound on a socket. An error leaves the system's own.
func boundUnsent(fd uintptr) {
	if unsentOption != 0 {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unsentOption, maxUnsent)
	}
}
