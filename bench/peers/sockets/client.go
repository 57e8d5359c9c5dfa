//go:build linux

package main

import (
	"bytes"
	"fmt"
	"syscall"
)

// The states of a client, in their order.
const (
	connecting = iota
	upgrading
	joining
	joined
	ended
)

// client is one connection. Its loop owns it.
type client struct {
	fd     int
	state  uint8
	topic  string // that it joins
	quoted []byte // the topic as it stands in a message
	want   int64  // the number of its topic that is due
	sent   int64  // echoes
	rest   []byte // what came of a frame that has not come whole
}

// dial begins to connect.
func (c *client) dial(to syscall.Sockaddr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd, c.state = fd, connecting
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	if err := syscall.Connect(fd, to); err != nil && err != syscall.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// drop resets the connection, so that its port is free again.
func (c *client) drop() {
	if c.state == ended {
		return
	}
	c.state = ended
	_ = syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Close(c.fd) // whatever it says, the socket is gone
}

// writable goes on when the connection is made.
func (c *client) writable(path, host string) error {
	code, err := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("connect: %w", syscall.Errno(code))
	}
	c.state = upgrading
	return c.send(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host))
}

// send writes the little that a client ever writes.
func (c *client) send(p []byte) error {
	n, err := syscall.Write(c.fd, p)
	if err == nil && n < len(p) {
		err = syscall.EAGAIN
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// receive handles p, all that has come and was not handled, and returns the rest of it.
func (c *client) receive(p []byte, now int64, l *loop) (rest []byte, err error) {
	if c.state == upgrading {
		end := bytes.Index(p, []byte("\r\n\r\n"))
		if end < 0 {
			return p, nil
		}
		if !bytes.HasPrefix(p, []byte("HTTP/1.1 101 ")) {
			return nil, fmt.Errorf("upgrade refused: %.100q", p)
		}
		p = p[end+4:]
		c.state = joining
		if err := c.send(l.protocol.connect(c.topic)); err != nil {
			return nil, err
		}
	}
	for {
		op, message, after, whole, err := cut(p)
		if err != nil || !whole {
			return p, err
		}
		p = after
		switch op {
		case opClose:
			return nil, fmt.Errorf("closed by the server: %q", message)
		case opPing:
			pong := append(appendHead(nil, len(message), 0x80), message...)
			pong[0] = 0x80 | 10
			if err := c.send(pong); err != nil {
				return nil, err
			}
			continue
		}
		for more := true; more; {
			one := message
			if l.protocol.lines {
				one, message, more = bytes.Cut(message, []byte("\n"))
			} else {
				more = false
			}
			if err := c.handle(one, now, l); err != nil {
				return nil, err
			}
		}
	}
}

// handle handles one message.
func (c *client) handle(m []byte, now int64, l *loop) error {
	if c.state == joined {
		if ts, seq, ok := numbers(m, c.quoted, l.rate > 0); ok {
			c.want = l.tally.count(seq, c.want, ts, now)
			return nil
		}
	}
	switch {
	case len(m) == 2 && m[0] == '{' && l.protocol.pong != nil:
		return c.send(l.protocol.pong)
	case c.state == joining:
		if !l.protocol.accepted(c, m) {
			return fmt.Errorf("refused: %.200q", m)
		}
	case l.protocol.heartbeat != nil && bytes.Contains(m, []byte(`"phoenix"`)): // the reply to a heartbeat
	case len(m) > 0:
		l.tally.strays++
	}
	return nil
}
