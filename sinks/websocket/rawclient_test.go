package websocket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// rawClient is a client that can send what no library would.
type rawClient struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// dialRaw connects without asking for anything.
func (f *fixture) dialRaw() *rawClient {
	f.t.Helper()
	dial := f.dialer
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	nc, err := dial(context.Background(), "tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	c := &rawClient{t: f.t, nc: nc, r: bufio.NewReader(nc)}
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// upgradeRequest is the request of a client that behaves, with further headers,
// each with its line end.
func (f *fixture) upgradeRequest(headers string) string {
	return fmt.Sprintf("GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", f.addr, headers)
}

func (f *fixture) raw() *rawClient {
	f.t.Helper()
	c := f.dialRaw()
	c.write([]byte(f.upgradeRequest("")))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		f.t.Fatal(resp, err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
		f.t.Fatalf("accept key %q", got)
	}
	return c
}

// hungUp reads until the server hangs up, and returns how long that took and
// what came before.
func (c *rawClient) hungUp() (time.Duration, string) {
	begin := time.Now()
	data, err := io.ReadAll(c.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("still open, read %q", data)
	}
	return time.Since(begin), string(data)
}

// write writes bytes; that the server has hung up is no failure.
func (c *rawClient) write(p []byte) { _, _ = c.nc.Write(p) }

// frame sends one frame, masked unless told otherwise.
func (c *rawClient) frame(first byte, payload []byte) {
	c.write(maskedFrame(first, payload))
}

func maskedFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	return b
}

// next reads one frame of the server.
func (c *rawClient) next() (first byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if n == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(c.r, long); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(long))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return head[0], payload, err
}

// closeCode reads until the close frame and returns its code; -1 means that there was
// none, 0 that it had no code.
func (c *rawClient) closeCode() int {
	for {
		first, payload, err := c.next()
		switch {
		case err != nil:
			return -1
		case first == 0x88 && len(payload) < 2:
			return 0
		case first == 0x88:
			return int(binary.BigEndian.Uint16(payload))
		}
	}
}
