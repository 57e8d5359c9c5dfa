//go:build linux

package main

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
	to       syscall.Sockaddr
	host     string
	protocol protocol

	received atomic.Int64 // deliveries, for goroutines that wait for them
	ready    atomic.Int64 // clients that have joined

	mu      sync.Mutex // held while events are handled
	clients []*client
	next    int // the first client that has not begun to connect
	slots   int // clients that may begin to connect
	tally   *tally
	err     error // the first one
	beats   int   // heartbeats sent
	since   time.Time

	// Echoes: rate is per second, 0 for none; echoes are those that are still to be sent.
	rate, echoes, echoed int
	begun                time.Time
	sentIn               time.Duration // from begun to the last echo

	buf, out []byte
	over     atomic.Bool
	done     chan struct{}
}

const (
	readBuffer = 256 << 10
	// Heartbeats go out once in this time to each client.
	heartbeat = 20 * time.Second
)

func newLoop(to syscall.Sockaddr, host string, p protocol) (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	return &loop{epoll: fd, to: to, host: host, protocol: p, tally: newTally(), since: time.Now(),
		buf: make([]byte, readBuffer), done: make(chan struct{})}, nil
}

// stop ends the loop and its connections.
func (l *loop) stop() {
	l.over.Store(true)
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
	wait := 50
	for !l.over.Load() {
		n, err := syscall.EpollWait(l.epoll, events, wait)
		l.mu.Lock()
		if err != nil && err != syscall.EINTR {
			l.err = fmt.Errorf("epoll_wait: %w", err)
			l.mu.Unlock()
			return
		}
		before := l.tally.deliveries
		for i := range max(n, 0) {
			c := l.clients[events[i].Fd]
			if err := l.handle(c, events[i]); err != nil {
				l.fail(c, err)
			}
		}
		l.beat()
		l.echo()
		if wait = 50; l.echoes > 0 {
			wait = 1
		}
		l.received.Add(l.tally.deliveries - before)
		l.mu.Unlock()
	}
}

func (l *loop) dial() {
	for ; l.slots > 0 && l.next < len(l.clients) && l.err == nil; l.slots-- {
		c := l.clients[l.next]
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(l.next)}
		l.next++
		err := c.dial(l.to)
		if err == nil {
			err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event)
		}
		if err != nil {
			l.fail(c, err)
		}
	}
}

// fail notes why a connection has ended.
func (l *loop) fail(c *client, err error) {
	if l.err == nil {
		l.err = fmt.Errorf("client of %q: %w", c.topic, err)
	}
	c.drop()
}

func (l *loop) handle(c *client, e syscall.EpollEvent) error {
	switch c.state {
	case ended:
		return nil
	case connecting:
		if err := c.writable(l.protocol.path, l.host); err != nil {
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
	was := c.state
	rest, err := c.receive(l.buf[:kept+n], time.Now().UnixNano(), l)
	if err != nil {
		return err
	}
	if len(rest) == len(l.buf) {
		return errFrame
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
	if l.protocol.heartbeat == nil || due <= 0 || l.next == 0 {
		return
	}
	for target := int(int64(due) * int64(l.next) / int64(heartbeat)); l.beats < target; l.beats++ {
		if c := l.clients[l.beats%l.next]; c.state == joined {
			if err := c.send(l.protocol.heartbeat); err != nil {
				l.fail(c, err)
			}
		}
	}
}

// echo sends the echoes that are due.
func (l *loop) echo() {
	if l.echoes == 0 {
		return
	}
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	target := int(time.Since(l.begun).Seconds() * float64(l.rate))
	for ; l.echoed < target && l.echoes > 0; l.echoed, l.echoes = l.echoed+1, l.echoes-1 {
		c := l.clients[l.echoed%len(l.clients)]
		m := l.protocol.echo(l.out[:0], c.topic, appendPayload(nil, time.Now().UnixNano(), c.sent))
		l.out = m
		c.sent++
		if err := c.send(append(appendHead(nil, len(m), 0x80), m...)); err != nil {
			l.fail(c, err)
		}
	}
	l.sentIn = time.Since(l.begun)
}
