//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bareServer is the limit: epoll loops that write frames made beforehand and do nothing
// else.
type bareServer struct {
	topics *topics[*bareConn]
	loops  []*bareLoop
	most   int64 // bytes of the room that are written at once

	pushed atomic.Int64 // when the last push to a user was, in Unix nanoseconds
	burst  atomic.Int64 // pushes since the last pause
}

// bareLoop has a share of the connections.
type bareLoop struct {
	epoll, wake int
	woken       atomic.Bool // an event of wake is on its way
	server      *bareServer

	mu    sync.Mutex
	conns map[int32]*bareConn
	room  []*bareConn // that have joined the room
	dirty []*bareConn // that have something to write

	log    []byte       // the frames of the room, which never move
	logged atomic.Int64 // how much of it is there
}

// bareConn is one connection.
type bareConn struct {
	fd     int
	loop   *bareLoop
	prefix []byte // what stands before a payload of its topic
	open   bool   // the upgrade is done
	rest   []byte // what came of a frame that has not come whole

	at      int64 // how much of the room's log is written; the loop's
	blocked bool  // the socket takes nothing for now; the loop's

	mu      sync.Mutex
	pending []byte // frames of its own topic that are not written
	marked  bool   // it is among the dirty
}

// bareLog is bytes of addresses for a room, which become memory when they are written.
const bareLog = 1 << 30

// newBare returns a server that writes so many bytes of a room at once.
func newBare(most int64) func() (server, error) {
	return func() (server, error) { return startBare(most) }
}

func startBare(most int64) (server, error) {
	s := &bareServer{topics: newTopics[*bareConn](), most: most}
	for range runtime.GOMAXPROCS(0) {
		epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("epoll_create: %w", err)
		}
		wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if errno != 0 {
			return nil, fmt.Errorf("eventfd: %w", errno)
		}
		l := &bareLoop{epoll: epoll, wake: int(wake), server: s, conns: make(map[int32]*bareConn)}
		if err := l.watch(syscall.EPOLL_CTL_ADD, l.wake, syscall.EPOLLIN); err != nil {
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	return s, nil
}

func (s *bareServer) serve(l net.Listener) error {
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(int(f.Fd()), false); err != nil {
		return err
	}
	for _, l := range s.loops {
		go l.run()
	}
	go func() {
		for i := 0; ; i++ {
			fd, _, err := syscall.Accept4(int(f.Fd()), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err != nil {
				continue
			}
			l := s.loops[i%len(s.loops)]
			l.mu.Lock()
			l.conns[int32(fd)] = &bareConn{fd: fd, loop: l}
			l.mu.Unlock()
			_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) // it is a TCP socket
			_ = l.watch(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN)                    // the client finds out
		}
	}()
	return nil
}

func (l *bareLoop) watch(op, fd int, events uint32) error {
	return syscall.EpollCtl(l.epoll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// publish appends frames to the room's log of each loop, or to what is pending for a
// user, and wakes the loops.
func (s *bareServer) publish(topic string, payload []byte) error {
	if topic == roomTopic {
		m := appendMessage(nil, topic, payload)
		frame := append(appendHead(nil, len(m)), m...)
		for _, l := range s.loops {
			if l.log == nil {
				l.log = make([]byte, bareLog)
			}
			l.logged.Add(int64(copy(l.log[l.logged.Load():], frame)))
			l.notify()
		}
		return nil
	}
	for _, c := range s.topics.of(topic) {
		c.push(payload)
	}
	return nil
}

// appendHead begins a text frame of n bytes; no message of ours is longer than 64 KiB.
func appendHead(dst []byte, n int) []byte {
	const text = 0x81
	if n < 126 {
		return append(dst, text, byte(n))
	}
	return append(dst, text, 126, byte(n>>8), byte(n))
}

// calm reports whether a push may write by itself: the first 64 after a pause of 200 us
// do. All others are left to the loops, which write at once what waits for a user.
func (s *bareServer) calm() bool {
	now := time.Now().UnixNano()
	if now-s.pushed.Swap(now) > 200_000 {
		s.burst.Store(0)
	}
	return s.burst.Add(1) <= 64
}

func (c *bareConn) push(payload []byte) {
	c.mu.Lock()
	direct := len(c.pending) == 0 && c.loop.server.calm()
	c.pending = appendHead(c.pending, len(c.prefix)+len(payload)+1)
	c.pending = append(append(append(c.pending, c.prefix...), payload...), ']')
	if direct {
		n, _ := syscall.Write(c.fd, c.pending) // the loop goes on with the rest
		c.pending = c.pending[:copy(c.pending, c.pending[max(n, 0):])]
	}
	marked := c.marked
	c.marked = c.marked || len(c.pending) > 0
	todo := c.marked && !marked
	c.mu.Unlock()
	if !todo {
		return
	}
	c.loop.mu.Lock()
	c.loop.dirty = append(c.loop.dirty, c)
	c.loop.mu.Unlock()
	c.loop.notify()
}

func (l *bareLoop) notify() {
	if !l.woken.Swap(true) {
		_, _ = syscall.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it never blocks
	}
}

// run writes what is there, and reads what comes, as long as the process lives.
func (l *bareLoop) run() {
	events := make([]syscall.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	var dirty []*bareConn
	for behind := false; ; {
		wait := -1
		if behind {
			wait = 0
		}
		n, _ := syscall.EpollWait(l.epoll, events, wait)
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == l.wake {
				_, _ = syscall.Read(l.wake, buf[:8]) // it is there
				l.woken.Store(false)
				continue
			}
			l.mu.Lock()
			c := l.conns[e.Fd]
			l.mu.Unlock()
			if e.Events&syscall.EPOLLOUT != 0 && c.blocked {
				c.blocked = false
				_ = l.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLIN) // it is in there
			}
			if e.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !c.read(buf) {
				l.drop(c)
				continue
			}
			if !c.blocked {
				c.flush()
			}
		}
		l.mu.Lock()
		dirty, l.dirty = l.dirty, dirty[:0]
		room := l.room
		l.mu.Unlock()
		for _, c := range dirty {
			if !c.blocked {
				c.flush()
			}
		}
		behind = l.spread(room)
	}
}

// spread writes the room's log, a piece to each connection, and reports whether any has
// more to come.
func (l *bareLoop) spread(room []*bareConn) (behind bool) {
	end := l.logged.Load()
	for _, c := range room {
		if c.blocked || c.at == end {
			continue
		}
		n := c.write(l.log[c.at:min(end, c.at+l.server.most)])
		c.at += int64(n)
		behind = behind || !c.blocked && c.at < end
	}
	return behind
}

// write writes what the socket takes.
func (c *bareConn) write(p []byte) int {
	n, err := syscall.Write(c.fd, p)
	if err == nil && n == len(p) {
		return n
	}
	if err == nil || err == syscall.EAGAIN {
		c.blocked = true
		_ = c.loop.watch(syscall.EPOLL_CTL_MOD, c.fd, syscall.EPOLLIN|syscall.EPOLLOUT) // it is in there
	}
	return max(n, 0)
}

// flush writes what is pending of the connection's own topic.
func (c *bareConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		n := c.write(c.pending)
		c.pending = c.pending[:copy(c.pending, c.pending[n:])]
	}
	if c.marked = len(c.pending) > 0; !c.marked && cap(c.pending) > 4<<10 {
		c.pending = nil
	}
}

// read handles what has come and reports whether the connection goes on.
func (c *bareConn) read(buf []byte) bool {
	kept := copy(buf, c.rest)
	n, err := syscall.Read(c.fd, buf[kept:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	p := buf[:kept+n]
	if !c.open {
		if !bytes.HasSuffix(p, []byte("\r\n\r\n")) {
			return false
		}
		c.open = true
		// The key of our client is always the same, and so is what belongs to it.
		c.write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"))
		return true
	}
	for len(p) >= 2 {
		head, size := 6, int(p[1]&0x7f)
		if size == 126 && len(p) >= 4 {
			head, size = 8, int(p[2])<<8|int(p[3])
		}
		if len(p) < head+size {
			break
		}
		c.handle(p[head : head+size])
		p = p[head+size:]
	}
	c.rest = append(c.rest[:0], p...)
	return true
}

// handle joins a topic or sends an echo.
func (c *bareConn) handle(m []byte) {
	topic, response := respond(m)
	if response == nil {
		return
	}
	switch topic {
	case "":
	case roomTopic:
		c.at = c.loop.logged.Load()
		c.loop.mu.Lock()
		c.loop.room = append(c.loop.room, c)
		c.loop.mu.Unlock()
	default:
		c.prefix = bytes.TrimSuffix(appendMessage(nil, topic, nil), []byte("]"))
		c.loop.server.topics.join(topic, c)
	}
	c.mu.Lock()
	c.pending = append(appendHead(c.pending, len(response)), response...)
	c.mu.Unlock()
}

// drop ends a connection; the topics keep it, since no client leaves during a run.
func (l *bareLoop) drop(c *bareConn) {
	l.mu.Lock()
	delete(l.conns, int32(c.fd))
	l.mu.Unlock()
	c.blocked = true
	_ = syscall.Close(c.fd) // the client has
}
