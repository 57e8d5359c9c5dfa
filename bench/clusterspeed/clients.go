//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// clients is the process of the WebSocket clients. They read frames and count them, and
// do nothing else, since they share the machine with what is measured.
type clients struct {
	mu    sync.Mutex
	conns []net.Conn
	group sync.WaitGroup
	got   atomic.Int64
}

// connecting says which users connect, and where.
type connecting struct {
	some
	Address string `json:"address"`
}

// connect connects users to a node, one after another.
func (c *clients) connect(ctx context.Context, cfg connecting) (none, error) {
	all := names(cfg.Users)
	for i := cfg.First; i < len(all); i += cfg.Every {
		if err := c.join(ctx, cfg.Address, all[i]); err != nil {
			return none{}, fmt.Errorf("%s: %w", all[i], err)
		}
	}
	return none{}, nil
}

// join connects a user and joins the user's topic.
func (c *clients) join(ctx context.Context, address, topic string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	// No mask of a client is secret here, so it is zero, which changes nothing.
	message := `["1","1","` + topic + `","phx_join",{}]`
	frame := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	if _, err := fmt.Fprintf(conn, "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", address, frame); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 2048)
	for line, first := "", true; line != "\r\n"; first = false {
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
		if first && !strings.HasPrefix(line, "HTTP/1.1 101 ") {
			return fmt.Errorf("refused: %.100q", line)
		}
	}
	reply, err := readFrame(r)
	if err != nil {
		return err
	}
	if !strings.Contains(string(reply), `"status":"ok"`) {
		return fmt.Errorf("refused: %.100q", reply)
	}
	c.group.Go(func() {
		for {
			if _, err := readFrame(r); err != nil {
				return
			}
			c.got.Add(1)
		}
	})
	return nil
}

var errFrame = errors.New("not a short frame of a server")

// readFrame reads a frame that fits into the reader's buffer. The bytes are valid until
// the next one is read.
func readFrame(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	n, size := 2, int(head[1])
	switch {
	case size > 126:
		return nil, errFrame // masked, or very long
	case size == 126:
		if head, err = r.Peek(4); err != nil {
			return nil, err
		}
		n, size = 4, int(binary.BigEndian.Uint16(head[2:]))
	}
	all, err := r.Peek(n + size)
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(n + size); err != nil {
		return nil, err
	}
	if all[0]&0x0f == 8 { // a close
		return nil, io.EOF
	}
	return all[n:], nil
}

// count returns how many frames have come, without the replies to joins.
func (c *clients) count(context.Context, none) (int64, error) { return c.got.Load(), nil }

func (c *clients) close() {
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.group.Wait()
}
