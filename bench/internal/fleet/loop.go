//go:build linux

package fleet

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// loop drives a share of the clients in one goroutine.
type loop struct {
	epoll    int
	to       syscall.SockaddrInet4 // the loop's own: to connect writes into it
	host     string
	protocol *Protocol

	received atomic.Int64 // deliveries, for goroutines that wait for them
	ready    atomic.Int64 // clients that have joined

	mu      sync.Mutex // held while events are handled
	clients []*Client
	next    int // the first client that has not begun to connect
	slots   int // clients that may begin to connect
	tally   *Tally
	apart   *Tally // of the clients that are meant to stop reading
	err     error  // the first one
	beats   int    // heartbeats sent
	echoes  echoes
	since   time.Time

	buf  []byte
	over atomic.Bool
	done chan struct{}
}

const (
	readBuffer = 256 << 10
	// Heartbeats begin after a while and then go out once in this time for each client: servers
	// close after a minute without.
	heartbeat = 20 * time.Second
)

func newLoop(to syscall.SockaddrInet4, host string, protocol *Protocol) (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	l := &loop{epoll: fd, to: to, host: host, protocol: protocol, tally: NewTally(), apart: NewTally(), since: time.Now(),
		buf: make([]byte, readBuffer), done: make(chan struct{})}
	go l.run()
	return l, nil
}

// stop ends the loop and its connections, if that has not been done.
func (l *loop) stop() {
	if l.over.Swap(true) {
		return // the number of the closed descriptor may be another's by now
	}
	<-l.done
	for _, c := range l.clients[:l.next] {
		c.drop()
	}
	_ = syscall.Close(l.epoll) // nothing is in it
}

// run handles what comes until the loop is over, which it notices in time.
func (l *loop) run() {
	defer close(l.done)
	events := make([]syscall.EpollEvent, 256)
	pause := 50
	for !l.over.Load() {
		n, err := syscall.EpollWait(l.epoll, events, pause)
		if err != nil && err != syscall.EINTR {
			l.mu.Lock()
			l.err = fmt.Errorf("epoll_wait: %w", err)
			l.mu.Unlock()
			return
		}
		l.mu.Lock()
		before := l.tally.Deliveries
		for i := range max(n, 0) {
			c := l.clients[events[i].Fd]
			if err := l.handle(c, events[i]); err != nil {
				l.fail(c, err)
			}
		}
		l.beat()
		l.echo()
		pause = l.echoes.pause()
		l.received.Add(l.tally.Deliveries - before)
		l.mu.Unlock()
	}
}

// connect begins to connect all clients that have not yet, so many at a time.
// The mutex is held.
func (l *loop) connect(parallel int) {
	l.slots, l.since, l.beats = parallel, time.Now(), 0
	l.dial()
}

func (l *loop) dial() {
	for ; l.slots > 0 && l.next < len(l.clients) && l.err == nil; l.slots-- {
		c := l.clients[l.next]
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(l.next)}
		l.next++
		err := c.dial(&l.to)
		if err == nil {
			event.Pad = c.nth
			err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event)
		}
		if err != nil {
			l.fail(c, err)
		}
	}
}

// fail notes why a connection has ended.
func (l *loop) fail(c *Client, err error) {
	if c.state == joined {
		l.tally.Ended++
	}
	if l.err == nil {
		l.err = fmt.Errorf("client of %q: %w", c.Topic, err)
	}
	c.drop()
}

func (l *loop) handle(c *Client, e syscall.EpollEvent) error {
	switch {
	case c.state == ended || e.Pad != c.nth: // an event of a connection that has ended
		return nil
	case c.state == connecting:
		if err := c.writable(l.host); err != nil {
			return err
		}
		e.Events = syscall.EPOLLIN
		return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_MOD, c.fd, &e)
	}
	kept := copy(l.buf, c.rest)
	n, err := syscall.Read(c.fd, l.buf[kept:])
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	was, t := c.state, l.tally
	if c.Slow {
		t = l.apart
	}
	rest, err := c.receive(l.buf[:kept+n], time.Now().UnixNano(), l.protocol, t)
	if err != nil {
		return err
	}
	if len(rest) == len(l.buf) {
		return ErrFrame
	}
	c.rest = append(c.rest[:0], rest...)
	if was != joined && c.state == joined {
		l.ready.Add(1)
		l.slots++
		l.dial()
	}
	return nil
}

// beat sends the heartbeats that are due, evenly spread.
func (l *loop) beat() {
	due := time.Since(l.since) - heartbeat
	if l.protocol.Heartbeat == nil || due <= 0 || l.next == 0 {
		return
	}
	for target := int(int64(due) * int64(l.next) / int64(heartbeat)); l.beats < target; l.beats++ {
		if c := l.clients[l.beats%l.next]; c.state == joined && !c.Slow {
			if err := c.Send(l.protocol.Heartbeat); err != nil {
				l.fail(c, err)
			}
		}
	}
}
