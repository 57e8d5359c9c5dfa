package websocket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// writeChunk is what a client must take within ServerTimeouts.Write, in bytes.
const writeChunk = 16 << 10

// gateWriter is a ResponseWriter that sets a deadline for each piece of a
// response. The handler's goroutine owns it; only the deadlines may be set by
// others.
type gateWriter struct {
	g    *gate
	w    http.ResponseWriter
	rc   *http.ResponseController
	body *gateBody // nil without one

	hijacked  bool
	ownsWrite atomic.Bool // the handler has set a deadline of its own
	ownsRead  atomic.Bool
}

// Header implements http.ResponseWriter.
func (o *gateWriter) Header() http.Header { return o.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (o *gateWriter) WriteHeader(status int) {
	// What is left of a body that was not taken must not be read as a request.
	if o.body != nil && o.body.failed.Load() {
		o.w.Header().Set("Connection", "close")
	}
	o.extend()
	o.w.WriteHeader(status)
}

// Write implements http.ResponseWriter, in pieces.
func (o *gateWriter) Write(p []byte) (n int, err error) {
	if o.body != nil && o.body.failed.Load() {
		o.w.Header().Set("Connection", "close") // no effect after the header
	}
	for {
		piece := p[n:min(len(p), n+writeChunk)]
		o.extend()
		m, err := o.w.Write(piece)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// extend gives the client time for the next piece, unless the handler has set a
// deadline of its own.
func (o *gateWriter) extend() {
	if !o.ownsWrite.Load() {
		_ = o.rc.SetWriteDeadline(time.Now().Add(o.g.cfg.Timeouts.Write)) // fails if the client has gone
	}
}

// end gives the server time to write what is buffered and to read what is left of
// the body.
func (o *gateWriter) end() {
	if o.hijacked {
		return
	}
	o.extend()
	if o.body != nil && !o.body.ended.Load() && !o.ownsRead.Load() {
		_ = o.rc.SetReadDeadline(time.Now().Add(o.g.cfg.Timeouts.Read))
	}
}

// FlushError is Flush with an error, for http.ResponseController.
func (o *gateWriter) FlushError() error {
	o.extend()
	return o.rc.Flush()
}

// Flush implements http.Flusher.
func (o *gateWriter) Flush() { _ = o.FlushError() } // the next Write has the error too

// Hijack implements http.Hijacker. The server clears the deadlines.
func (o *gateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := o.rc.Hijack()
	o.hijacked = err == nil
	return nc, rw, err
}

// SetWriteDeadline replaces the deadlines of the server, until it is set to zero.
func (o *gateWriter) SetWriteDeadline(at time.Time) error {
	o.ownsWrite.Store(!at.IsZero())
	return o.rc.SetWriteDeadline(at)
}

// SetReadDeadline replaces the deadlines of the server, until it is set to zero.
func (o *gateWriter) SetReadDeadline(at time.Time) error {
	o.ownsRead.Store(!at.IsZero())
	return o.rc.SetReadDeadline(at)
}

// Unwrap is for http.ResponseController.
func (o *gateWriter) Unwrap() http.ResponseWriter { return o.w }

// smallBody is how many bytes of each body do not count, so that small ones are served
// however many large ones there are. The bound on requests bounds them: a connection
// has a buffer of that size anyway.
const smallBody = 4 << 10

// gateBody is the body of a request, with deadlines, whose bytes count while the
// request is served.
type gateBody struct {
	out   *gateWriter
	r     *http.Request
	addr  netip.Addr
	from  io.Reader // with the bound on its size
	under io.Closer

	until  time.Time   // the end of ServerTimeouts.Body; zero before the first Read
	ended  atomic.Bool // nothing is left to read
	failed atomic.Bool // something is left that is not read

	// A proxy reads the body in a goroutine of its own, which may outlive the handler.
	mu       sync.Mutex // guards the fields below
	read     int64      // bytes
	held     int64      // bytes that count
	released bool
}

// Read implements io.Reader.
func (b *gateBody) Read(p []byte) (int, error) {
	g := b.out.g
	now := time.Now()
	if b.until.IsZero() {
		b.until = now.Add(g.cfg.Timeouts.Body)
	}
	at := now.Add(g.cfg.Timeouts.Read)
	if b.until.Before(at) {
		at = b.until
	}
	b.deadline(at)
	n, err := b.from.Read(p)
	if !b.hold(int64(n)) {
		b.failed.Store(true)
		g.refusals.note(b.r, refusedBodies, "", ErrBodies)
		return n, ErrBodies
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
		// From here on the server watches for the client's end, without a deadline.
		b.deadline(time.Time{})
	case !errors.Is(err, http.ErrBodyReadAfterClose):
		b.failed.Store(true)
		g.refusals.note(b.r, refusedBody, "", err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *gateBody) Close() error { return b.under.Close() }

// deadline sets the deadline for reading from the connection, unless the handler has
// set its own, or has returned: the connection is that of the next request then.
func (b *gateBody) deadline(at time.Time) {
	// With the mutex held, so that release does not come between.
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.released && !b.out.ownsRead.Load() {
		_ = b.out.rc.SetReadDeadline(at) // fails if the client has gone
	}
}

// hold counts bytes that were read. It returns false if they exceed the bound.
func (b *gateBody) hold(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n == 0 || b.released {
		return true
	}
	b.read += n
	more := max(0, b.read-smallBody) - b.held
	if more > 0 && !b.out.g.bodies.take(b.addr, more) {
		return false
	}
	b.held += max(0, more)
	return true
}

// release gives the bytes back, when the handler has returned.
func (b *gateBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	if b.held > 0 {
		b.out.g.bodies.give(b.addr, b.held)
		b.held = 0
	}
}
