package websocket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// conn is a connection over WebSocket.
//
// One goroutine reads, or none while the connection rests. While nothing comes it
// holds no buffer but small, which is part of the struct: most messages of idle
// clients, heartbeats above all, fit into it. The endpoint's writers write what
// is queued.
type conn struct {
	session
	restful
	nc    net.Conn
	raw   syscall.RawConn // nil if nc is no plain TCP
	early []byte          // read by net/http before the upgrade

	nextReady *conn // guarded by writers.mu

	// Owned by the goroutine that reads.
	header   [ws.MaxHeaderSize - 2]byte
	small    [96]byte
	from, to int       // what of small has not been read yet
	lastRead time.Time // when bytes came from the client
	deadline time.Time // of the message that is being read; zero between messages

	// Guarded by the session's mutex.
	closeSent, peerClosed bool
}

func newConn(m *mount, a admission) *conn {
	c := &conn{session: session{mount: m, state: a.state, id: a.id, version: a.version}}
	c.tr = c
	c.writing = true // until the upgrade is answered
	return c
}

// start begins to read, and to write what has been queued meanwhile. The
// registry and the tracker know the connection. Its credentials are good until
// then.
func (c *conn) start(until time.Time) {
	c.begin(until)
	c.lastRead = time.Now()
	// An error shows at the first read.
	_ = c.nc.SetReadDeadline(c.nextLook(c.lastRead))
	c.mu.Lock()
	c.writing = c.out.waiting() > 0
	wake := c.writing
	c.mu.Unlock()
	if wake {
		c.wake(true)
	}
	go c.readLoop()
}

// leave is the end of a connection: what its reader does last.
func (c *conn) leave() {
	e := c.endpoint()
	c.finish(ErrClosed)
	e.registry.remove(&c.session)
	e.work.done()
}

// hangUp does nothing: the writers find the close frame in the outbox.
func (c *conn) hangUp() {}

func (c *conn) abort() {
	_ = c.nc.Close() // nothing is owed to the peer any more
	c.endpoint().resting.rouse(c)
}

// errSlowMessage: a message did not end in its time.
var errSlowMessage = errors.New("websocket: message not finished in time")

// Read reads what has come, and waits for it until the idle timeout or the
// message's deadline. The connection's own read deadline is only moved when it
// fires: a timer would cost more than the reading otherwise.
func (c *conn) Read(p []byte) (int, error) {
	if c.from < c.to {
		n := copy(p, c.small[c.from:c.to])
		c.from += n
		return n, nil
	}
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	if len(p) >= len(c.small) {
		return c.receive(p)
	}
	n, err := c.receive(c.small[:])
	if n == 0 {
		return 0, err
	}
	c.from, c.to = copy(p, c.small[:n]), n
	return c.from, nil
}

func (c *conn) receive(p []byte) (int, error) {
	for {
		n, err := c.nc.Read(p)
		if n > 0 {
			c.lastRead = time.Now()
			return n, nil
		}
		if err := c.goOn(err); err != nil {
			return 0, err
		}
	}
}

// goOn answers nil if err is but a read deadline that came too early, having
// moved it to where it belongs now.
func (c *conn) goOn(err error) error {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	now := time.Now()
	until := c.silentUntil()
	switch {
	case !now.Before(until):
		return errIdle
	case c.deadline.IsZero():
		until = c.nextLook(now)
	case !now.Before(c.deadline):
		return errSlowMessage
	case c.deadline.Before(until):
		until = c.deadline
	}
	if c.isClosing() {
		return ErrClosed
	}
	return c.readUntil(until)
}

// readUntil sets the read deadline.
func (c *conn) readUntil(t time.Time) error {
	if err := c.nc.SetReadDeadline(t); err != nil {
		return err
	}
	if c.isClosing() {
		// sentClose may have set its deadline just before.
		_ = c.nc.SetReadDeadline(time.Now().Add(c.mount.config.CloseTimeout))
	}
	return nil
}

// silentUntil is when the client has been silent for too long.
func (c *conn) silentUntil() time.Time { return c.lastRead.Add(c.mount.config.IdleTimeout) }

// restAfter is how long a client is waited for by a goroutine of its own: who
// says more within that time is answered sooner.
const restAfter = time.Second

// nextLook is the read deadline between messages: when the connection may come
// to rest, or has to end.
func (c *conn) nextLook(now time.Time) time.Time {
	next := c.silentUntil()
	if c.raw == nil {
		return next
	}
	after := c.endpoint().resting.after
	rest := c.lastRead.Add(after)
	if !rest.After(now) { // it could not rest: try again later
		rest = now.Add(after)
	}
	if rest.Before(next) {
		return rest
	}
	return next
}

// rests answers whether the connection has come to rest. Then this goroutine
// has nothing to do with it any more.
func (c *conn) rests() bool {
	if c.raw == nil || time.Since(c.lastRead) < c.endpoint().resting.after || !c.endpoint().resting.add(c) {
		return false
	}
	if c.isClosing() { // since before it rested
		c.endpoint().resting.rouse(c)
	}
	return true
}

// resume begins to read again after a rest.
func (c *conn) resume() {
	_ = c.readUntil(c.nextLook(time.Now())) // an error shows at the first read
	go c.readLoop()
}

// within sets a deadline for the rest of a message that has not come whole.
func (c *conn) within(d time.Duration) {
	if c.deadline.IsZero() {
		c.deadline = time.Now().Add(d)
		_ = c.nc.SetReadDeadline(c.deadline) // an error shows at the next read
	}
}

// The buffers that messages are read into, by size.
var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}
)

func buffer(size int) *[]byte {
	if size <= 1<<10 {
		return smallBuffers.Get().(*[]byte)
	}
	return largeBuffers.Get().(*[]byte)
}

func recycle(b *[]byte) {
	*b = (*b)[:0]
	switch c := cap(*b); {
	case c < 1<<10:
	case c < 16<<10:
		smallBuffers.Put(b)
	case c <= 64<<10:
		largeBuffers.Put(b)
	}
}

// readLoop waits for the client and handles what comes. All the waiting of an
// idle connection is done in this very function: its stack must fit into the
// smallest a goroutine can have, of which the runtime leaves about a kilobyte
// to use. What has been handled may have made the stack grow, and it would
// stay grown; therefore a fresh goroutine does the next waiting. After a while
// the connection rests, and nobody waits for it alone.
func (c *conn) readLoop() {
	var err error
	for c.from == c.to && len(c.early) == 0 && err == nil {
		var n int
		if n, err = c.nc.Read(c.small[:]); n > 0 {
			c.from, c.to = 0, n
			c.lastRead = time.Now()
			break
		}
		if err = c.goOn(err); err == nil && c.rests() {
			return
		}
	}
	c.handleRead(err)
}

// handleRead handles what has come until nothing is left of it, or ends the
// connection.
func (c *conn) handleRead(err error) {
	over := true
	defer func() {
		if !over {
			return
		}
		if v := recover(); v != nil {
			crash := crashOf(v)
			c.endpoint().log.Error("connection crashed", "socket", c.mount.kind.name, "error", crash.Err, "stack", string(crash.Stack))
			c.close(ws.StatusInternalServerError, crash, false)
			c.linger()
		}
		c.leave()
	}()
	for err == nil && (c.from < c.to || len(c.early) > 0) {
		err = c.readMessage()
	}
	if err != nil {
		c.endRead(err)
		return
	}
	over = false
	go c.readLoop()
}

// protocolError is an offence of the client with its close code.
type protocolError struct {
	code ws.StatusCode
	text string
}

func (e *protocolError) Error() string { return "websocket: " + e.text }

// errPeerClosed: the client sent a close frame, which has been answered.
var errPeerClosed = errors.New("websocket: closed by the client")

// endRead closes the connection for the reason that ended the reading.
func (c *conn) endRead(err error) {
	var offence *protocolError
	switch {
	case errors.As(err, &offence):
		c.endpoint().log.Debug("connection closed", "socket", c.mount.kind.name, "code", int(offence.code), "reason", offence.text)
		c.close(offence.code, ErrClosed, true)
	case errors.Is(err, errIdle):
		c.close(ws.StatusProtocolError, ErrClosed, true) // as Bandit does
	case errors.Is(err, errSlowMessage):
		c.close(ws.StatusPolicyViolation, ErrClosed, true)
	case errors.Is(err, errPeerClosed):
		c.mu.Lock()
		c.peerClosed = true
		done := c.closeSent
		c.mu.Unlock()
		if done {
			return
		}
	default:
		return // the connection is broken
	}
	c.linger()
}

// linger waits until the close frame has been written and the client has
// answered or hung up, so that no reset overtakes what was sent.
func (c *conn) linger() {
	until := time.Now().Add(c.mount.config.CloseTimeout)
	if err := c.nc.SetReadDeadline(until); err != nil {
		return
	}
	b := buffer(0)
	defer recycle(b)
	for total := 0; total < 1<<20; {
		n, err := c.nc.Read((*b)[:cap(*b)])
		total += n
		if err != nil {
			return
		}
	}
}

// wake sees to it that what is queued is written: by the caller if little else
// is going on, or else by the endpoint's writers; or by a goroutine of its own
// if the connection is no plain TCP.
func (c *conn) wake(free bool) {
	if c.raw != nil {
		c.endpoint().writers.wake(c, free)
		return
	}
	c.endpoint().work.add()
	go func() {
		b := batches.Get().(*batch)
		if c.take(b) {
			c.writeRest(b, b.joined())
			return
		}
		batches.Put(b)
		c.endpoint().work.done()
	}()
}

// writeRest writes p, which is what is left of b, and then all that is queued,
// waiting for the client to take it.
func (c *conn) writeRest(b *batch, p []byte) {
	defer c.endpoint().work.done()
	defer batches.Put(b)
	for {
		if err := c.write(p); err != nil {
			c.wrote(b, err)
			c.finish(ErrClosed)
			return
		}
		if !c.done(b) || !c.take(b) {
			return
		}
		p = b.joined()
	}
}

// done tells that the batch was written and answers whether there is more.
func (c *conn) done(b *batch) (more bool) {
	last, more := c.wrote(b, nil)
	if last {
		c.sentClose()
	}
	return more
}

// write waits until the client has taken p, for WriteTimeout at the longest.
func (c *conn) write(p []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.mount.config.Queue.WriteTimeout)); err != nil {
		return err
	}
	if _, err := c.nc.Write(p); err != nil {
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{})
}

// sentClose hangs up if the client has closed too, or else bounds the time for
// its answer.
func (c *conn) sentClose() {
	c.mu.Lock()
	c.closeSent = true
	done := c.peerClosed
	c.mu.Unlock()
	if done {
		c.abort()
		return
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may be gone already
	}
	c.endpoint().resting.rouse(c) // somebody must wait for the answer
	_ = c.nc.SetReadDeadline(time.Now().Add(c.mount.config.CloseTimeout))
}

var _ io.Reader = (*conn)(nil)
