package websocket

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// resting holds the connections of which all that has come is handled. They have no
// goroutine of their own: one goroutine waits for all of them, in an epoll, until a
// client sends something or has been silent for too long. A goroutine for each would
// cost 2.5 KiB, of which the garbage collector scans the stack, and a connection would
// be waited for with a timer.
//
// The goroutine that waits exists while there are connections of which any has rested. It
// waits in the runtime's poller, for the epoll as a whole, and so holds no thread. It
// reads nothing: that takes a runner, which may have to wait for a handler.
type resting struct {
	work *tracker

	mu    sync.Mutex
	used  bool     // there are connections
	epoll *os.File // nil until a connection rests
	ctl   int      // its descriptor
	slots []*conn  // by the number in the events; nil is free
	free  []int32
	n     int   // connections that rest
	nth   int32 // counts the rests, to tell apart the connections of a slot
	// The argument of RawConn.Control, and what it works on.
	control func(fd uintptr)
	step    controlStep
	look    time.Time // when to look for clients that have been silent for too long
}

// lookInterval is the least time between two looks through all connections.
const lookInterval = 100 * time.Millisecond

// add returns false if the connection cannot rest. Otherwise the connection
// belongs to the goroutine that rouses it.
func (r *resting) add(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The first connection that rests starts the goroutine.
	if r.epoll == nil && !r.begin() {
		return false
	}
	// The last free slot, or a new one. It is only taken once epoll_ctl has succeeded.
	slot := int32(len(r.slots))
	if last := len(r.free) - 1; last >= 0 {
		slot = r.free[last]
	}
	// It wraps around after 2^31 rests.
	r.nth = max(r.nth+1, 1) // never 0
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: slot, Pad: r.nth}
	// A socket stays in the epoll between its rests, disarmed by EPOLLONESHOT.
	// polled is the epoll that has the socket; it may be an earlier one, now closed.
	op := syscall.EPOLL_CTL_ADD
	if c.polled == r.epoll {
		op = syscall.EPOLL_CTL_MOD
	}
	r.step = controlStep{c: c, op: op, event: event}
	err := c.raw.Control(r.control)
	failed := r.step.failed
	r.step = controlStep{}
	if err != nil || failed != nil {
		r.endIfEmpty()
		return false // its next read returns the error
	}
	c.endReading()
	if int(slot) == len(r.slots) {
		r.slots = append(r.slots, c)
	} else {
		r.slots[slot] = c
		r.free = r.free[:len(r.free)-1]
	}
	c.polled, c.slot, c.rest = r.epoll, slot, r.nth
	r.n++
	// Earlier than what the goroutine waits for now.
	if due := c.silentUntil(time.Now()); due.Before(r.look) {
		r.lookAt(due)
	}
	return true
}

// controlStep is what control does.
type controlStep struct {
	c      *conn
	op     int
	event  syscall.EpollEvent
	failed error
}

// watch has the epoll watch the socket of the connection in step. The mutex is held.
func (r *resting) watch(fd uintptr) {
	if s := &r.step; s.c.readBy != 0 {
		_ = s.c.nc.SetReadDeadline(time.Time{}) // no timer while it rests; rests looks at that of a close
		s.c.readBy = 0
	}
	r.step.failed = syscall.EpollCtl(r.ctl, r.step.op, int(fd), &r.step.event)
}

// begin starts the goroutine that waits. The mutex is held.
func (r *resting) begin() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or os would not poll it
		_ = syscall.Close(fd)
		return false
	}
	r.epoll, r.ctl = os.NewFile(uintptr(fd), "epoll"), fd
	r.control = r.watch // a method value allocates
	// add brings it forward for each connection.
	r.lookAt(time.Now().Add(time.Hour))
	r.work.add()
	// The file is passed, since the field can name another epoll by then.
	go r.wait(r.epoll)
	return true
}

// lookAt sets when to look for silent clients. The mutex is held.
func (r *resting) lookAt(at time.Time) {
	r.look = at
	_ = r.epoll.SetReadDeadline(at) // the next read returns the error, if any
}

// use says whether there are connections. It may be called with a registry.mu held.
func (r *resting) use(used bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = used
	r.endIfEmpty()
}

// endIfEmpty stops the goroutine that waits once there are no connections. The mutex is
// held.
func (r *resting) endIfEmpty() {
	if r.n == 0 && !r.used && r.epoll != nil {
		_ = r.epoll.Close() // wakes wait
		r.epoll, r.slots, r.free = nil, nil, nil
	}
}

// take ends the rest of a connection. It returns false if the connection does not
// rest. The mutex is held.
func (r *resting) take(c *conn) bool {
	if c.rest == 0 {
		return false
	}
	// An event of this rest that comes late matches nothing then.
	c.rest = 0
	r.slots[c.slot] = nil
	r.free = append(r.free, c.slot)
	r.n--
	r.endIfEmpty()
	return true
}

// rouse starts a goroutine that reads from a connection, if the connection rests.
func (r *resting) rouse(c *conn) {
	r.mu.Lock()
	rested := r.take(c)
	r.mu.Unlock()
	if rested {
		c.resume()
	}
}

// wait rouses the connections that have something to read.
func (r *resting) wait(epoll *os.File) {
	defer r.work.done()
	raw, err := epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
	// Kept for the life of the goroutine: 12 or 16 bytes for each event.
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
		for i, e := range events[:max(n, 0)] {
			if c := r.spoke(epoll, e); c != nil {
				c.endpoint().runners.run((*arrival)(c))
			}
			// Runners that are done take the next ones.
			if i%yieldAfter == yieldAfter-1 {
				runtime.Gosched()
			}
		}
		if err != nil {
			r.rouseSilent(epoll)
		}
	}
}

// spoke returns the connection of an event, whose rest is over, or nil.
func (r *resting) spoke(epoll *os.File, e syscall.EpollEvent) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The event may be from an epoll that was closed while it was read.
	if r.epoll != epoll || int(e.Fd) >= len(r.slots) {
		return nil
	}
	c := r.slots[e.Fd]
	// Another connection may have the slot by now, with another number.
	if c == nil || c.rest != e.Pad {
		return nil // roused meanwhile
	}
	r.take(c)
	return c
}

// rouseSilent rouses the connections whose clients have been silent for too long,
// which then end themselves.
func (r *resting) rouseSilent(epoll *os.File) {
	r.mu.Lock()
	// All have been roused, and the epoll was closed.
	if r.epoll != epoll {
		r.mu.Unlock()
		return
	}
	now := time.Now()
	next := now.Add(time.Hour)
	var silent []*conn
	// All of them, but not more often than lookInterval allows.
	for _, c := range r.slots {
		if c == nil {
			continue
		}
		if due := c.silentUntil(now); !due.After(now) {
			silent = append(silent, c)
		} else if due.Before(next) {
			next = due
		}
	}
	for _, c := range silent {
		r.take(c)
	}
	if r.epoll == epoll {
		if soonest := now.Add(lookInterval); next.Before(soonest) {
			next = soonest
		}
		r.lookAt(next)
	}
	r.mu.Unlock()
	for _, c := range silent {
		c.resume()
	}
}

// restful holds what a connection needs to rest. It is guarded by the mutex of
// resting; in an event loop it does not change.
type restful struct {
	polled *os.File // the epoll to which its socket was added
	slot   int32
	rest   int32 // 0 while it does not rest
}
