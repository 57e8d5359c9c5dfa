//go:build linux

package fleet

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

// Client is one connection. Its loop owns it.
type Client struct {
	Topic  string // that it joins
	Quoted []byte // the topic as it stands in a message
	Slow   bool   // Stall makes it stop reading

	path  string
	fd    int
	nth   int32 // how often it has begun to connect
	state uint8
	want  int64  // the number of its topic that is due
	sent  int64  // echoes
	rest  []byte // what came of a frame that has not come whole
}

// Joined reports whether the client has joined its topic.
func (c *Client) Joined() bool { return c.state == joined }

// SetJoined notes that it has.
func (c *Client) SetJoined() { c.state = joined }

// Echoing reports whether the client has sent messages that are to be returned.
func (c *Client) Echoing() bool { return c.sent > 0 }

// dial begins to connect.
func (c *Client) dial(to syscall.Sockaddr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd, c.state, c.want, c.rest = fd, connecting, 0, nil
	c.nth++
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	if c.Slow {
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

// drop ends the connection at once. The socket is reset, so that its port is free again and the
// server notices.
func (c *Client) drop() {
	if c.state == ended {
		return
	}
	c.state = ended
	_ = syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Close(c.fd) // whatever it says, the socket is gone
}

// writable goes on when the connection is made.
func (c *Client) writable(host string) error {
	code, err := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("connect: %w", syscall.Errno(code))
	}
	c.state = upgrading
	return c.Send(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", c.path, host))
}

// Send writes a frame, one of the few that a client ever writes.
func (c *Client) Send(frame []byte) error {
	n, err := syscall.Write(c.fd, frame)
	if err == nil && n < len(frame) {
		err = syscall.EAGAIN
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// receive handles p, all that has come and was not handled, and returns the rest of it.
func (c *Client) receive(p []byte, now int64, protocol *Protocol, t *Tally) (rest []byte, err error) {
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
		if err := c.Send(protocol.Join(c)); err != nil {
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
		case opText, opBinary:
			err = protocol.Message(c, message, now, t)
		case opClose:
			err = fmt.Errorf("closed by the server: %q", message)
		case opPing:
			err = c.Send(appendMasked(nil, opPong, message))
		}
		if err != nil {
			return nil, err
		}
	}
}
