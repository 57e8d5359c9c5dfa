package websocket

import (
	"errors"
	"os"
	"time"
)

// watchAfter is how long the goroutine that reads waits for a handler before it
// looks whether the client is still there.
const watchAfter = 50 * time.Millisecond

// wait waits in the goroutine that reads until done is closed, for most at the
// longest, and reports whether it was closed. It returns false as soon as the
// session begins to end: then that goroutine has to read the client's close frame.
// gone is called once if the client goes meanwhile, which a connection that is not
// read from would not notice; it may be nil.
func (s *session) wait(done <-chan struct{}, most time.Duration, gone func()) bool {
	// Most handlers return before anything else needs to be set up.
	first := time.NewTimer(min(most, watchAfter))
	defer first.Stop()
	select {
	case <-done:
		return true
	case <-first.C:
	}
	ending := s.ending()
	if most <= watchAfter {
		return false
	}
	if gone != nil {
		defer s.tr.watch(gone)()
	}
	var late <-chan time.Time // never, without a bound
	if most < NoTimeout {
		timer := time.NewTimer(most - watchAfter)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	case <-ending:
		return false
	}
}

// maxAhead bounds the bytes that are read while a handler is waited for. From then
// on TCP slows the client down, and its going is not noticed.
const maxAhead = 64 << 10

// watch reads ahead, in a goroutine of its own, to notice that the client has
// gone: what comes is kept in early. While it runs, early and lastRead belong to
// that goroutine.
func (c *conn) watch(gone func()) (stop func()) {
	// The handler may take longer than any deadline of reading allows.
	if c.isClosing() || c.readUntil(time.Time{}) != nil {
		return func() {} // its channels end already
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !c.readAhead() {
			gone()
		}
	}()
	return func() {
		c.interrupt(true)
		<-done
		c.interrupt(false)
		// An error shows at the next read.
		if c.deadline.IsZero() {
			_ = c.readUntil(c.silentUntil(time.Now()))
		} else {
			_ = c.readUntil(c.deadline)
		}
	}
}

// interrupt ends the read ahead by a deadline in the past, or notes that it has ended.
// sentClose leaves that deadline alone: a later one in its place, before the read has
// noticed it, would let the read go on until then.
func (c *conn) interrupt(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupting = on; on {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection
	}
}

// readAhead reads until a deadline, which ends the watch, or until enough has
// come. It returns false if the client has gone.
func (c *conn) readAhead() bool {
	b := buffer(0)
	defer recycle(b)
	for len(c.early) < maxAhead {
		n, err := c.nc.Read((*b)[:cap(*b)])
		if n > 0 {
			c.early = append(c.early, (*b)[:n]...)
			c.lastRead = time.Duration(c.endpoint().uptime())
		}
		if err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return true
}
