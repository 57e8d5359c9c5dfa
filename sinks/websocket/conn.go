package websocket

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/internal/crash"
)

// conn is a connection over WebSocket.
//
// One goroutine reads, or none between messages, while the connection rests. It is kept at 320 bytes,
// beyond which an allocation costs 32 bytes more. The endpoint's writers write what is
// queued.
type conn struct {
	session
	restful
	*pinged // nil without pings
	nc      stream
	raw     syscall.RawConn // nil if nc is no plain TCP

	// Guarded by writers.mu.
	nextReady  *conn
	readySince time.Duration // of writers.since, when it was put into the line

	// Owned by the goroutine that reads.
	*reading               // nil while the connection rests
	lastRead time.Duration // of Endpoint.uptime, when bytes came from the client, or reading began again

	// Guarded by the session's mutex.
	closeBy time.Duration // of Endpoint.uptime, when the wait for the client's close frame ends; set with closeSent
}

// stream is what a connection needs of a net.Conn. One with CloseWrite is closed in two steps.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// reading is what the goroutine that reads needs. Between messages it holds no buffer
// but small, which is large enough for most messages of idle clients, such as heartbeats.
type reading struct {
	early    []byte // read by net/http before the upgrade, after a rest, or while a handler was waited for
	header   [ws.MaxHeaderSize - 2]byte
	small    [64]byte
	from, to uint8         // the part of small that has not been read yet
	readBy   time.Duration // of Endpoint.uptime, the read deadline that was set last; 0 for none
	deadline time.Time     // of the message that is being read; zero between messages
	lent     *Channel      // has a message, and is to run once all that has come is passed on
}

var readings = sync.Pool{New: func() any { return new(reading) }}

// beginReading gives the goroutine that reads what it needs.
func (c *conn) beginReading() { c.reading = readings.Get().(*reading) }

// endReading takes it back. There must be nothing left in it.
func (c *conn) endReading() {
	r := c.reading
	c.reading = nil
	r.recycle()
}

func (r *reading) recycle() {
	*r = reading{}
	readings.Put(r)
}

// newConn makes a connection whose upgrade has not been sent yet. The caller sets
// nc.
func newConn(m *mount, a admission) *conn {
	c := &conn{}
	c.init(m, a)
	return c
}

// init is newConn for a conn that is part of something.
func (c *conn) init(m *mount, a admission) {
	c.session = newSession(m, a)
	if m.pings.every < NoTimeout {
		c.pinged = &pinged{}
	}
	c.tr = c
	c.beginReading()
	c.out.writer = writerHeld // until the response to the upgrade is written
}

// start begins to read, and to write what has been queued meanwhile. The
// connection is in the registry, counted by the tracker and has begun. With refused it
// only ends.
func (c *conn) start(refused *StatusError) {
	c.alive()
	var do effects
	c.mu.Lock()
	// Broadcasts can have been queued since the registry has it, and wait for
	// the response to the upgrade.
	c.out.start(&do)
	c.mu.Unlock()
	if do.wake {
		c.wake(true)
	}
	if refused != nil {
		go c.turnAway(refused)
		return
	}
	c.mount.pings.add(c)
	if len(c.early) > 0 {
		c.endpoint().runners.run(c)
	} else {
		c.await()
	}
}

// await waits for the client's next message: the connection rests, or has a goroutine that
// reads. It does not belong to the caller any more.
func (c *conn) await() {
	if l := c.looped(); l != nil {
		l.await()
		return
	}
	if c.rests() {
		return
	}
	if c.readBy == 0 {
		_ = c.readUntil(c.silentUntil(time.Now())) // an error shows at the first read
	}
	go c.readLoop()
}

// turnAway ends a connection that Connect has refused with a close code. Nothing that
// the client sends is handled.
func (c *conn) turnAway(why *StatusError) {
	c.holdOff()
	c.close(ws.StatusCode(why.CloseCode), why, true)
	c.linger()
	c.leave()
}

// leave ends a connection. Its reader calls it last.
func (c *conn) leave() {
	c.mount.pings.remove(c)
	// Does nothing if an earlier finish has ended the session.
	c.finish(ErrClosed)
	c.mu.Lock()
	reason := c.out.ended
	c.mu.Unlock()
	// What was read has been passed on.
	c.endChannels(reason)
	c.endReading()
	c.depart()
}

// hangUp implements transport. It does nothing: the writers find the close frame in
// the outbox.
func (c *conn) hangUp() {}

// abort closes the connection, which ends its reader. A resting one has none and
// gets one.
func (c *conn) abort() (reads bool) {
	_ = c.nc.Close() // there is nothing left to send
	c.rouse()
	return true
}

// rouse lets a goroutine read from the connection, if it rests.
func (c *conn) rouse() {
	if l := c.looped(); l != nil {
		l.rouse()
		return
	}
	c.endpoint().resting.rouse(c)
}

// readLoop waits for the client of a connection that cannot rest, or that must end. It
// waits in this function, whose stack must fit into the smallest that a goroutine
// can have, of which the runtime leaves about a kilobyte. Handling a message grows
// the stack, and it would stay grown: therefore a runner handles it, and then a new
// goroutine waits for the next message.
func (c *conn) readLoop() {
	var err error
	for c.from == c.to && len(c.early) == 0 && err == nil {
		// The buffer is free: all of it has been read when from equals to.
		var n int
		if n, err = c.nc.Read(c.small[:]); n > 0 {
			c.from, c.to = 0, uint8(n)
			c.alive()
			break
		}
		// After rests returns true another goroutine may own c: nothing here may touch it.
		if err = c.goOn(err); err == nil && c.rests() {
			return
		}
	}
	if err != nil {
		c.handleRead(err)
		return
	}
	c.endpoint().runners.run(c)
}

// run handles what has come, in a runner. The runner also runs the channel of the last
// message, once another goroutine waits for more: the message reaches its handler without
// a further change of goroutines.
func (c *conn) run() {
	if last := c.handleRead(nil); last != nil {
		last.run()
	}
}

// lend implements transport.
func (c *conn) lend(ch *Channel) {
	c.passOn()
	c.lent = ch
}

// passOn has the channel that was lent run in a goroutine of its own.
func (c *conn) passOn() {
	if c.lent != nil {
		c.endpoint().runners.run(c.lent)
		c.lent = nil
	}
}

// handleRead handles the messages that have come, or ends the connection. It returns the
// channel of the last message if the caller must run it.
func (c *conn) handleRead(err error) (last *Channel) {
	// Stays true after an error and after a panic; both end the connection.
	over, normal := true, false
	defer func() {
		if !over {
			return
		}
		c.passOn()
		if v := recover(); v != nil || !normal { // a panic, or runtime.Goexit in TopicAllowed
			var err error = ErrGoexit
			if v != nil {
				err = crash.Of(v)
			}
			c.endpoint().logCrash("connection", err, "socket", c.mount.kind.name)
			c.close(ws.StatusInternalServerError, &CrashError{Err: err}, false)
			c.linger()
		}
		c.leave()
	}()
	// All that has come is handled before a new goroutine waits for more.
	for err == nil && (c.from < c.to || len(c.early) > 0) {
		c.passOn()
		err = c.readMessage()
	}
	normal = true
	if err != nil {
		c.passOn() // the client's last message is handled while its close is awaited
		c.endRead(err)
		return nil
	}
	over = false
	last, c.lent = c.lent, nil
	c.await()
	return last
}

// protocolError is a breach of the protocol by the client, with its close code.
type protocolError struct {
	code ws.StatusCode
	text string
}

// Error implements error. The text is for the log: the client gets the code only.
func (e *protocolError) Error() string { return "websocket: " + e.text }

// repeats reports whether clients that keep to the protocol of WebSocket can make
// this breach, and so can make it again after each connect.
func (e *protocolError) repeats() bool {
	return e.code == ws.StatusMessageTooBig || e.code == ws.StatusInternalServerError
}

// errPeerClosed: the client has sent a close frame, and the response is queued.
var errPeerClosed = errors.New("websocket: closed by the client")

// endRead closes the connection after reading has ended with an error.
func (c *conn) endRead(err error) {
	var breach *protocolError
	switch {
	case errors.As(err, &breach):
		c.endpoint().breach(c.mount, breach)
		if breach.repeats() {
			c.holdOff()
		}
		// Replies to the messages before the breach are still sent.
		c.close(breach.code, ErrClosed, true)
	case errors.Is(err, errIdle):
		c.close(ws.StatusProtocolError, ErrClosed, true) // as Bandit does
	case errors.Is(err, errSlowMessage):
		c.close(ws.StatusPolicyViolation, ErrClosed, true)
	case errors.Is(err, errPeerClosed):
		c.mu.Lock()
		// Under one lock with closeSent: of reader and writer, the later one sees both.
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

// maxLinger bounds the bytes that are read after the close frame was written.
const maxLinger = 1 << 20

// maxLingerPause bounds the pause after a read, whatever Limits.ByteRate is.
const maxLingerPause = 50 * time.Millisecond

// drain waits for the client's close frame after the session has begun to end, and
// returns why it does so no longer, never nil. state is where the next frame must
// fit in. Nothing else that the client sends is handled: frames cost it nothing, and
// the bytes in them are bounded as in linger.
func (c *conn) drain(state ws.State) error {
	// Frames of a few bytes each must not cost a read each.
	r := bufio.NewReaderSize(&lingering{c: c}, 4<<10)
	for {
		h, err := c.readHeader(r, state)
		if err != nil {
			return err
		}
		switch {
		case h.OpCode == ws.OpClose:
			return errPeerClosed // whatever its code: the close frame has been queued
		case h.OpCode.IsControl():
		case h.Fin:
			state = state.Clear(ws.StateFragmented)
		default:
			state = state.Set(ws.StateFragmented)
		}
		if _, err := io.CopyN(io.Discard, r, h.Length); err != nil {
			return err
		}
	}
}

// lingering reads what a client sends while its session ends: at the pace of
// Limits.ByteRate, and maxLinger bytes at most once the close frame is written.
type lingering struct {
	c     *conn
	total int
}

// Read implements io.Reader. The deadline is that of the close.
func (l *lingering) Read(p []byte) (int, error) {
	n, err := l.c.Read(p)
	if l.c.sent() {
		l.total += n
	}
	if err == nil && l.total >= maxLinger {
		return 0, ErrClosed
	}
	pace := time.Duration(n) * time.Second / time.Duration(l.c.mount.cfg.Limits.ByteRate)
	time.Sleep(min(pace, maxLingerPause))
	return n, err
}

// linger waits until what is queued and the close frame have been written and the
// client has closed too, so that no reset overtakes what was sent: closing a
// socket with unread input sends one. What comes meanwhile is not parsed, and is
// read at the pace of Limits.ByteRate.
func (c *conn) linger() {
	until, _ := c.closeDue(time.Now())
	if err := c.readUntil(until); err != nil {
		return
	}
	b := buffer(0)
	defer recycle(b)
	for l := (&lingering{c: c}); ; {
		if _, err := l.Read((*b)[:cap(*b)]); err != nil {
			return
		}
	}
}

// sent reports whether the close frame has been written.
func (c *conn) sent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeSent
}

var _ io.Reader = (*conn)(nil)
