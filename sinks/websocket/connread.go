package websocket

import (
	"errors"
	"os"
	"sync"
	"time"
)

// errSlowMessage: a message was not complete in time.
var errSlowMessage = errors.New("websocket: message not finished in time")

// Read reads what has come, or waits for it until the idle timeout or the
// message's deadline. The connection's read deadline is moved only when it fires,
// since moving it at each read would cost more than reading.
func (c *conn) Read(p []byte) (int, error) {
	if c.from < c.to {
		n := copy(p, c.small[c.from:c.to])
		c.from += uint8(n)
		return n, nil
	}
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	// A large read goes directly into the message's buffer.
	if len(p) >= len(c.small) {
		return c.receive(p)
	}
	// A small read, such as that of a header, fetches what else there is with it.
	n, err := c.receive(c.small[:])
	if n == 0 {
		return 0, err
	}
	c.from, c.to = uint8(copy(p, c.small[:n])), uint8(n)
	return int(c.from), nil
}

// receive reads from the connection, and goes on after read deadlines that fired
// too early.
func (c *conn) receive(p []byte) (int, error) {
	if c.readBy == 0 { // it has rested
		_ = c.readUntil(c.silentUntil(time.Now())) // an error shows at the read
	}
	for {
		n, err := c.nc.Read(p)
		if n > 0 {
			c.alive()
			return n, nil
		}
		if err := c.goOn(err); err != nil {
			return 0, err
		}
	}
}

// goOn returns nil if err is only a read deadline that fired too early, and moves
// that deadline to where it belongs now.
func (c *conn) goOn(err error) error {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	now := time.Now()
	// While a connection closes, the client may be silent and need not finish a
	// message: what counts is whether it takes what is queued, which write bounds.
	if end, closes := c.closeDue(now); closes {
		if !now.Before(end) {
			return ErrClosed
		}
		return c.readUntil(end)
	}
	// The deadline was left where it was while bytes came: find the present one.
	until := c.silentUntil(now)
	switch {
	case !now.Before(until):
		return errIdle
	// Between messages only the idle timeout counts.
	case c.deadline.IsZero():
	case !now.Before(c.deadline):
		return errSlowMessage
	case c.deadline.Before(until):
		until = c.deadline
	}
	return c.readUntil(until)
}

// closeDue reports whether the connection closes, and until when it is read from
// if nothing more comes. Before the close frame is written, that is when to look
// again; the zero time means that the connection has ended.
func (c *conn) closeDue(now time.Time) (until time.Time, closes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.out.phase == open:
		return time.Time{}, false
	case c.out.phase == closed:
		return time.Time{}, true
	case !c.closeSent:
		return now.Add(c.mount.cfg.Timeouts.Close), true
	}
	return c.endpoint().epoch.Add(c.closeBy), true
}

// readUntil sets the read deadline, unless that of the close must stay. The zero
// time means none.
func (c *conn) readUntil(t time.Time) error {
	if c.readBy = 0; !t.IsZero() {
		c.readBy = t.Sub(c.endpoint().epoch)
	}
	if err := c.nc.SetReadDeadline(t); err != nil {
		return err
	}
	// sentClose may have set its deadline just before.
	if until, closes := c.closeDue(time.Now()); closes && (t.IsZero() || until.Before(t)) && !until.IsZero() {
		_ = c.nc.SetReadDeadline(until)
	}
	return nil
}

// wasNotReading notes that nothing was read from the client until now, which must
// not count as its silence, and for d not as time that it takes for a message.
func (c *conn) wasNotReading(d time.Duration) {
	c.alive()
	if !c.deadline.IsZero() {
		c.deadline = c.deadline.Add(d)
	}
}

// silentUntil returns when the client will have been silent for too long, or at
// least when that must be looked at again. It is too long now if that is not after
// now.
func (c *conn) silentUntil(now time.Time) time.Time {
	until := c.heard().Add(c.mount.cfg.Timeouts.Idle)
	if every := c.mount.pings.every; every < NoTimeout {
		answer := c.answerUntil(now, every)
		if answer.Before(until) {
			return answer
		}
	}
	return until
}

// rests reports whether the connection has come to rest. If so, it does not
// belong to this goroutine any more.
func (c *conn) rests() bool {
	if c.raw == nil || c.looped() != nil {
		return false
	}
	// After add another goroutine may own the connection.
	if !c.endpoint().resting.add(c) {
		return false
	}
	if c.isClosing() { // it may have begun before the rest
		c.endpoint().resting.rouse(c)
	}
	return true
}

// resume begins to read again after a rest.
func (c *conn) resume() {
	c.beginReading()
	_ = c.readUntil(c.silentUntil(time.Now())) // an error shows at the first read
	go c.readLoop()
}

// within sets a deadline for the rest of an incomplete message. The read deadline is left
// where it is if it comes earlier: then goOn moves it, and mostly the rest of the message
// comes before.
func (c *conn) within(d time.Duration) {
	if !c.deadline.IsZero() {
		return
	}
	c.deadline = time.Now().Add(d)
	if c.readBy == 0 || c.readBy > c.deadline.Sub(c.endpoint().epoch) {
		_ = c.readUntil(c.deadline) // an error shows at the next read
	}
}

// The buffers that messages are read into, by size.
var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}
)

// buffer returns a buffer for a message of about size bytes.
func buffer(size int) *[]byte {
	if size <= 1<<10 {
		return smallBuffers.Get().(*[]byte)
	}
	return largeBuffers.Get().(*[]byte)
}

// recycle returns a buffer to its pool, unless it has grown very large.
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
