package websocket

import (
	"io"
	"sync"
	"syscall"
)

// arrival is a connection that has rested and whose client has sent something. A runner
// reads all of it at once, into a buffer that it has only meanwhile.
type arrival conn

// run implements runnable.
func (a *arrival) run() {
	c := (*conn)(a)
	c.beginReading()
	buf := largeBuffers.Get().(*[]byte)
	n, err := c.readNow((*buf)[:cap(*buf)])
	if n > 0 {
		c.early = (*buf)[:n:n]
		c.alive()
	}
	last := c.handleRead(err)
	// All that was in it has been handled, or never will be.
	recycle(buf)
	if last != nil {
		last.run()
	}
}

// readNow reads what there is, without waiting.
func (c *conn) readNow(p []byte) (int, error) {
	if l := c.looped(); l != nil {
		return l.tryRead(p)
	}
	r := rawReaders.Get().(*rawReader)
	defer rawReaders.Put(r)
	return r.read(c.raw, p)
}

// rawReader reads from sockets without waiting and without allocating.
type rawReader struct {
	p   []byte
	n   int
	err error
	f   func(fd uintptr) bool
}

var rawReaders = sync.Pool{New: func() any {
	r := &rawReader{}
	r.f = r.once // a method value allocates
	return r
}}

// read reads what there is. It returns io.EOF at the end, and no error if there is nothing.
func (r *rawReader) read(raw syscall.RawConn, p []byte) (int, error) {
	r.p, r.n, r.err = p, 0, nil
	err := raw.Read(r.f)
	r.p = nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

// once always returns true, so that nothing waits for the socket.
func (r *rawReader) once(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), r.p)
		switch {
		case err == nil && n == 0:
			r.err = io.EOF
		case err == nil:
			r.n = n
		case err == syscall.EINTR:
			continue
		case err != syscall.EAGAIN:
			r.err = err
		}
		return true
	}
}
