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
	fd      int
	nth     int32 // how often it has begun to connect
	state   uint8
	stalled bool   // it will stop reading
	topic   string // that it joins
	token   string
	want    int64  // the number of its topic that is due
	rest    []byte // what came of a frame that has not come whole
}

// dial begins to connect.
func (c *client) dial(to syscall.Sockaddr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd, c.state, c.want, c.rest = fd, connecting, 0, nil
	c.nth++
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	if c.stalled {
		// The system would take as much as it likes for a client; this is less.
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10); err != nil {
			return fmt.Errorf("setsockopt: %w", err)
		}
	}
	if err := syscall.Connect(fd, to); err != nil && err != syscall.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// drop ends the connection at once. The socket is reset, so that its port is
// free again and the server notices.
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
	return c.send(fmt.Appendf(nil, "GET %s?vsn=2.0.0&token=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, c.token, host))
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

// receive handles p, all that has come and was not handled, and returns the rest
// of it.
func (c *client) receive(p []byte, now int64, t *tally) (rest []byte, err error) {
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
		if err := c.send(masked(`["1","1","` + c.topic + `","phx_join",{}]`)); err != nil {
			return nil, err
		}
	}
	for {
		op, message, after, whole, err := cut(p)
		if err != nil || !whole {
			return p, err
		}
		p = after
		if op == opText && c.state == joined {
			if ts, seq, ok := delivery(message, c.topic); ok {
				c.want = t.count(seq, c.want, ts, now)
				continue
			}
		}
		if err := c.control(op, message, now, t); err != nil {
			return nil, err
		}
	}
}

var (
	replyEvent = []byte(`"phx_reply"`)
	statusOK   = []byte(`"status":"ok"`)
)

// control handles what is no delivery.
func (c *client) control(op byte, message []byte, now int64, t *tally) error {
	switch {
	case op == opClose:
		return fmt.Errorf("closed by the server: %q", message)
	case bytes.Contains(message, replyEvent):
		if ts, seq, ok := echoed(message); ok && c.state == joined {
			c.want = t.count(seq, c.want, ts, now)
			return nil
		}
		if !bytes.Contains(message, statusOK) {
			return fmt.Errorf("refused: %.100q", message)
		}
		c.state = joined // or the reply to a heartbeat
	case op == opText || op == opBinary:
		t.strays++
	}
	return nil
}
