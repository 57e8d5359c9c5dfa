package websocket

import (
	"net"
	"os"
	"syscall"
	"time"
)

// again calls f until no signal interrupts it. The count is 0 with an error.
func again(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// loopStream is a connection of a loop as its own stream.
type loopStream loopConn

// Read waits until something has come, or for the deadline.
func (l *loopStream) Read(p []byte) (int, error) {
	c := (*loopConn)(l)
	for {
		if err := c.awaitReady(false, true); err != nil {
			return 0, err
		}
		if n, err := c.tryRead(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// Write waits until all has been written, or for the deadline.
func (l *loopStream) Write(p []byte) (n int, err error) {
	c := (*loopConn)(l)
	s := &c.socket
	for full := false; ; {
		if err := c.awaitReady(true, full); err != nil {
			return n, err
		}
		s.mu.Lock()
		// Before the write: room after it counts as new.
		s.writable = false
		s.mu.Unlock()
		if !c.use() {
			return n, net.ErrClosed
		}
		m, err := again(func() (int, error) { return syscall.Write(int(c.slot), p[n:]) })
		c.unuse()
		n += m
		switch {
		case err == syscall.EAGAIN:
			full = true
		case err != nil:
			return n, os.NewSyscallError("write", err)
		case n == len(p):
			return n, nil
		default: // after a part was taken no event need follow
			full = false
		}
	}
}

// awaitReady waits until something may have come, or there may be room if a goroutine writes. The
// deadline may move meanwhile. With unready false it only looks at the deadline.
func (c *loopConn) awaitReady(writes, unready bool) error {
	s := &c.socket
	for {
		s.mu.Lock()
		by, ready := s.readBy, s.readable
		if writes {
			if by, ready = 0, s.writable; s.waits != nil {
				by = s.waits.writeBy
			}
		}
		left := by - time.Duration(c.endpoint().uptime())
		switch {
		case s.closed:
			s.mu.Unlock()
			return net.ErrClosed
		// As net does: a deadline in the past counts though there is something to read.
		case by != 0 && left <= 0:
			s.mu.Unlock()
			return os.ErrDeadlineExceeded
		case ready || !unready:
			s.mu.Unlock()
			return nil
		}
		own := make(chan struct{}, 1)
		if w := s.waiting(); writes {
			w.writer = own
		} else {
			w.reader = own
		}
		s.mu.Unlock()
		if by != 0 {
			timer := time.NewTimer(left)
			select {
			case <-own:
			case <-timer.C:
			}
			timer.Stop()
		} else {
			<-own
		}
		s.mu.Lock()
		if writes {
			s.waits.writer = nil
		} else {
			s.waits.reader = nil
		}
		s.freeWaits()
		s.mu.Unlock()
	}
}

// SetReadDeadline sets when Read returns os.ErrDeadlineExceeded at the latest, also one that
// waits already.
func (l *loopStream) SetReadDeadline(t time.Time) error {
	c := (*loopConn)(l)
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.readBy = c.since(t)
	s.wakeReader()
	return nil
}

// SetWriteDeadline is the same for Write.
func (l *loopStream) SetWriteDeadline(t time.Time) error {
	c := (*loopConn)(l)
	s := &c.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if by := c.since(t); by != 0 || s.waits != nil {
		s.waiting().writeBy = by
		s.wakeWriter()
		s.freeWaits()
	}
	return nil
}

// since returns a deadline as Endpoint.uptime has it, and 0 only for none.
func (c *loopConn) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	if d := t.Sub(c.endpoint().epoch); d != 0 {
		return d
	}
	return 1
}

// Close closes the socket once no call uses the descriptor, and wakes those that wait.
func (l *loopStream) Close() error {
	c := (*loopConn)(l)
	s := &c.socket
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.closed = true
	s.wakeReader()
	s.wakeWriter()
	last := s.uses == 0
	s.mu.Unlock()
	if last {
		c.closeDescriptor()
	}
	return nil
}

// CloseWrite sends FIN.
func (l *loopStream) CloseWrite() error {
	c := (*loopConn)(l)
	if !c.use() {
		return net.ErrClosed
	}
	defer c.unuse()
	return os.NewSyscallError("shutdown", syscall.Shutdown(int(c.slot), syscall.SHUT_WR))
}

// loopRaw is a connection of a loop for the writers, which never wait.
type loopRaw loopConn

// Control implements syscall.RawConn.
func (l *loopRaw) Control(f func(fd uintptr)) error {
	c := (*loopConn)(l)
	if !c.use() {
		return net.ErrClosed
	}
	defer c.unuse()
	f(uintptr(c.slot))
	return nil
}

// Read calls f once.
func (l *loopRaw) Read(f func(fd uintptr) bool) error {
	return l.Control(func(fd uintptr) { f(fd) })
}

// Write calls f once.
func (l *loopRaw) Write(f func(fd uintptr) bool) error {
	c := (*loopConn)(l)
	if !c.use() {
		return net.ErrClosed
	}
	defer c.unuse()
	f(uintptr(c.slot))
	return nil
}
