package websocket

import (
	"errors"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// loop waits for the sockets of an endpoint's connections in an epoll of its own, in place of
// the runtime's poller: see EndpointConfig.EventLoop. A socket stays in the epoll until it is
// closed, and each event means that something has come since the last one.
//
// Its goroutine exists while there is a connection. It waits in the runtime's poller, for the
// epoll as a whole, and so holds no thread. It reads and handles nothing itself: a runner
// does.
type loop struct {
	work    *tracker
	runners *runners
	epoch   time.Time // of the endpoint

	// mu comes before socket.mu.
	mu    sync.Mutex
	epoll *os.File    // nil without a connection
	ctl   int         // its descriptor
	slots []*loopConn // by descriptor; nil is free
	n     int
	nth   int32 // counts the sockets, to tell apart those that had the same descriptor

	// When to look for clients that have been silent for too long, of Endpoint.uptime. It is
	// changed under the mutex.
	look atomic.Int64
}

// loopConn is a connection with the socket that it has in a loop. Of its restful part, slot is the
// descriptor and rest the number of the socket. It is kept at 352 bytes.
type loopConn struct {
	conn
	socket socket
}

// maxLoops bounds the loops of an endpoint.
const maxLoops = 8

// newLoops returns loops for so many processors.
func (e *Endpoint) newLoops(processors int) []*loop {
	loops := make([]*loop, min(max(1, processors/2), maxLoops))
	for i := range loops {
		loops[i] = &loop{work: &e.work, runners: &e.runners, epoch: e.epoch}
	}
	return loops
}

// takeOver makes a connection whose socket is in a loop and not in the runtime's poller, and
// closes nc. It returns nil if nc is no plain TCP connection. After an error nc is as it was.
func (e *Endpoint) takeOver(nc net.Conn) (*loopConn, error) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || len(e.loops) == 0 {
		return nil, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := 0
	var failed syscall.Errno
	err = raw.Control(func(old uintptr) {
		boundUnsent(old)
		// The duplicate does not block either: that is a property of the socket.
		var r uintptr
		r, _, failed = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(r)
	})
	if err == nil && failed != 0 {
		err = os.NewSyscallError("fcntl", failed)
	}
	if err != nil {
		return nil, err
	}
	c := &loopConn{}
	c.slot = int32(fd)
	if err := e.loops[fd%len(e.loops)].add(c); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	_ = nc.Close() // the duplicate keeps the connection
	return c, nil
}

// add begins to wait for a connection.
func (l *loop) add(c *loopConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoll == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	fd := int(c.slot)
	l.nth++ // it wraps around after 2^32 sockets
	c.rest = l.nth
	for len(l.slots) <= fd {
		l.slots = append(l.slots, nil)
	}
	l.slots[fd] = c // before the epoll has it
	l.n++
	const edges uint32 = 1 << 31 // EPOLLET, which is negative in package syscall
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edges, Fd: c.slot, Pad: c.rest}
	if err := syscall.EpollCtl(l.ctl, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		l.forget(c)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// begin starts the goroutine that waits. The mutex is held.
func (l *loop) begin() error {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or os would not poll it
		_ = syscall.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	l.epoll, l.ctl = os.NewFile(uintptr(fd), "epoll"), fd
	l.look.Store(math.MaxInt64)
	l.work.add()
	// The file is passed, since the field can name another epoll by then.
	go l.wait(l.epoll)
	return nil
}

// forget takes a connection out of the list, and ends the goroutine after the last one. The
// mutex is held.
func (l *loop) forget(c *loopConn) {
	l.slots[c.slot] = nil
	if l.n--; l.n == 0 {
		_ = l.epoll.Close() // wakes wait
		l.epoll, l.slots = nil, nil
	}
}

// remove ends the wait for a connection whose socket is about to be closed.
func (l *loop) remove(c *loopConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = syscall.EpollCtl(l.ctl, syscall.EPOLL_CTL_DEL, int(c.slot), nil) // closing it does the same
	l.forget(c)
}

// lookBy ensures that silent clients are looked for at a time, at the latest.
func (l *loop) lookBy(due time.Duration) {
	if int64(due) >= l.look.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoll != nil && int64(due) < l.look.Load() {
		l.lookAt(due)
	}
}

// lookAt sets when to look for silent clients. The mutex is held.
func (l *loop) lookAt(due time.Duration) {
	l.look.Store(int64(due))
	_ = l.epoll.SetReadDeadline(l.epoch.Add(due)) // the next read returns the error, if any
}

// wait passes on the events.
func (l *loop) wait(epoll *os.File) {
	defer l.work.done()
	raw, err := epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
	events := make([]syscall.EpollEvent, 128)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			// Without waiting: false makes the runtime's poller wait for the epoll.
			n, _ = syscall.EpollWait(int(fd), events, 0) // EINTR counts as none: tried again
			return n > 0
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		for i := range events[:max(n, 0)] {
			if c := l.of(epoll, &events[i]); c != nil {
				c.happened(events[i].Events)
			}
			// Runners that are done take the next ones.
			if i%yieldAfter == yieldAfter-1 {
				runtime.Gosched()
			}
		}
		if err != nil {
			l.rouseSilent(epoll)
		}
	}
}

// of returns the connection of an event, or nil if that has ended.
func (l *loop) of(epoll *os.File, e *syscall.EpollEvent) *loopConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The event may be from an epoll that was closed while it was read.
	if l.epoll != epoll || int(e.Fd) >= len(l.slots) {
		return nil
	}
	// Another connection may have the descriptor by now, with another number.
	if c := l.slots[e.Fd]; c != nil && c.rest == e.Pad {
		return c
	}
	return nil
}

// rouseSilent rouses the connections whose clients have been silent for too long, which then
// end themselves.
func (l *loop) rouseSilent(epoll *os.File) {
	l.mu.Lock()
	if l.epoll != epoll { // all have ended
		l.mu.Unlock()
		return
	}
	// A connection that comes to rest now may be overlooked: it then calls lookBy, which waits
	// for the mutex.
	l.look.Store(math.MaxInt64)
	now := time.Now()
	next := now.Add(time.Hour)
	var silent []*loopConn
	for _, c := range l.slots {
		if c == nil {
			continue
		}
		due, rests := c.restsUntil(now)
		switch {
		case !rests:
		case !due.After(now):
			silent = append(silent, c)
		case due.Before(next):
			next = due
		}
	}
	if soonest := now.Add(lookInterval); next.Before(soonest) {
		next = soonest
	}
	l.lookAt(next.Sub(l.epoch))
	l.mu.Unlock()
	for _, c := range silent {
		c.rouse()
	}
}
