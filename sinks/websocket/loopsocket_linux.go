package websocket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// socket is a descriptor in a loop. It takes the place of a net.Conn: one goroutine at a time
// reads, and one writes and waits for it. A goroutine that waits has a timer if there is a
// deadline. While no Read or Write waits, a deadline is only a number.
type socket struct {
	mu       sync.Mutex    // guards all that follows
	waits    *waits        // nil while no goroutine waits
	readBy   time.Duration // of Endpoint.uptime; 0 for no deadline
	uses     int16         // calls that use the descriptor now
	closed   bool
	rests    bool // nothing waits: an event that there is something to read rouses the connection
	readable bool // something may have come since the last read
	ended    bool // the client has sent all: each read finds the end
	writable bool // there may be room since the last write
}

// waits is what the goroutines need that wait for a socket.
type waits struct {
	reader  chan struct{} // of the one that waits for something to read; nil without one
	writer  chan struct{} // of the one that waits for room
	writeBy time.Duration // as readBy
}

// waiting returns waits, and makes it first if there is none. The mutex is held.
func (s *socket) waiting() *waits {
	if s.waits == nil {
		s.waits = &waits{}
	}
	return s.waits
}

// freeWaits drops waits if no goroutine needs it. The mutex is held.
func (s *socket) freeWaits() {
	if w := s.waits; w != nil && w.reader == nil && w.writer == nil && w.writeBy == 0 {
		s.waits = nil
	}
}

// wakeReader wakes the goroutine that waits for something to read, if there is one. The mutex is
// held.
func (s *socket) wakeReader() {
	if s.waits != nil {
		signal(s.waits.reader)
	}
}

// wakeWriter is the same for the one that waits for room.
func (s *socket) wakeWriter() {
	if s.waits != nil {
		signal(s.waits.writer)
	}
}

// loop returns the loop in which the connection is.
func (c *loopConn) loop() *loop {
	loops := c.endpoint().loops
	return loops[int(c.slot)%len(loops)]
}

// use ensures that the descriptor stays open until unuse. It returns false once the socket is
// closed.
func (c *loopConn) use() bool {
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.uses++
	return true
}

func (c *loopConn) unuse() {
	s := &c.socket
	s.mu.Lock()
	s.uses--
	last := s.closed && s.uses == 0
	s.mu.Unlock()
	if last {
		c.closeDescriptor()
	}
}

// closeDescriptor closes the socket after its last use.
func (c *loopConn) closeDescriptor() {
	// Before it is closed: then another connection may get its number.
	c.loop().remove(c)
	_ = syscall.Close(int(c.slot)) // nothing is owed
}

// happened passes an event on to the goroutines that wait for it. Without one it rouses a
// connection at rest.
func (c *loopConn) happened(events uint32) {
	s := &c.socket
	roused := false
	s.mu.Lock()
	if events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		s.readable = true
		s.ended = s.ended || events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0
		s.wakeReader()
		roused = s.rests
		s.rests = false
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		s.writable = true
		s.wakeWriter()
	}
	s.mu.Unlock()
	if roused {
		c.arrive()
	}
}

// signal wakes the goroutine that waits on a channel, if there is one.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // nil, or it is awake already
	}
}

// comeToRest lets the connection rest. It returns false if something has come since the last read, or
// if the socket is closed. After true the connection belongs to the goroutine that rouses it.
func (c *loopConn) comeToRest() bool {
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rests = !s.readable && !s.closed
	return s.rests
}

// rouse lets a runner read from the connection, if it rests.
func (c *loopConn) rouse() {
	s := &c.socket
	s.mu.Lock()
	rested := s.rests
	s.rests = false
	s.mu.Unlock()
	if rested {
		c.arrive()
	}
}

// restsUntil returns when the client will have been silent for too long, if the connection
// rests.
func (c *loopConn) restsUntil(now time.Time) (due time.Time, rests bool) {
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.rests {
		return time.Time{}, false
	}
	return c.silentUntil(now), true
}

// tryRead reads what has come, without waiting. It returns 0 and no error if there is nothing.
func (c *loopConn) tryRead(p []byte) (int, error) {
	s := &c.socket
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return 0, net.ErrClosed
	case !s.readable:
		s.mu.Unlock()
		return 0, nil
	}
	// Before the read: what comes after it counts as new.
	s.readable = s.ended
	s.uses++
	s.mu.Unlock()
	defer c.unuse()
	n, err := again(func() (int, error) { return syscall.Read(int(c.slot), p) })
	switch {
	case err == syscall.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	case n == len(p): // there may be more
		s.mu.Lock()
		s.readable = true
		s.mu.Unlock()
	}
	return n, nil
}

// looped returns the connection as that of a loop, or nil if it is not in one.
func (c *conn) looped() *loopConn {
	l, _ := c.nc.(*loopStream)
	return (*loopConn)(l)
}

// begin makes a connection of what takeOver has returned.
func (c *loopConn) begin(m *mount, a admission) *conn {
	c.init(m, a)
	c.nc, c.raw = (*loopStream)(c), (*loopRaw)(c)
	return &c.conn
}

// await lets the connection rest, or has it read from again. All that has come has been handled.
// It does not belong to the caller any more.
func (c *loopConn) await() {
	now := time.Now()
	due := c.silentUntil(now)
	// A goroutine waits for the client's close frame, and ends a connection whose client has been
	// silent for too long.
	if c.isClosing() || !due.After(now) {
		_ = c.readUntil(due) // an error shows at the next read
		go c.readLoop()
		return
	}
	c.endReading()
	if !c.comeToRest() {
		c.arrive()
		return
	}
	c.loop().lookBy(due.Sub(c.endpoint().epoch))
	if c.isClosing() { // it may have begun before the rest
		c.rouse()
	}
}

// arrive has a runner read what has come.
func (c *loopConn) arrive() { c.endpoint().runners.run((*arrival)(&c.conn)) }
