package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// upgrade takes the connection over from net/http and passes it to a new
// goroutine, so that it keeps neither the server's buffers nor the stack on
// which the request was handled.
func (m *mount) upgrade(w http.ResponseWriter, r *http.Request, a admission) {
	e := m.endpoint
	// badHeader has checked that there is exactly one.
	key := r.Header.Get("Sec-Websocket-Key")
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.connectError.Add(1)
		e.log.Error("cannot take over the connection", "error", err)
		refuse(w, http.StatusInternalServerError, "")
		return
	}
	m.negotiate(r, &a)
	c := m.connOn(nc, a)
	c.out.own = c.raw == nil
	c.out.apart = c.out.own
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // cannot fail: they are there
		// A client may send its first frames with the request. net/http reuses
		// the buffer.
		c.early = append([]byte(nil), early...)
	}
	// Before the registry has it, so that Close waits for it; leave calls done.
	e.work.add()
	// The response is written by hand: net/http has given the connection away.
	replaced, err := e.registry.add(&c.session, a.addr)
	if err != nil { // since admit looked
		e.work.done()
		m.refused(r, err)
		refuseRaw(c.nc, err)
		return
	}
	replaced.replace()
	if a.refused == nil {
		m.connectOK.Add(1) // before the client can know of it
	}
	// Before the client can know of it, so that no Disconnect is missed.
	c.begin(a)
	// The writer is held until start: a broadcast cannot come before the
	// response.
	if err := writeUpgrade(c.nc, key, a.subprotocol, a.extension, m.cfg.Timeouts.Write); err != nil {
		c.leave()
		return
	}
	c.start(a.refused)
}

// connOn makes the connection on a stream that was taken over from net/http.
func (m *mount) connOn(nc net.Conn, a admission) *conn {
	l, err := m.endpoint.takeOver(nc)
	if err != nil {
		m.endpoint.log.Warn("connection is not in an event loop", "error", err)
	}
	if l != nil {
		return l.begin(m, a)
	}
	c := newConn(m, a)
	// raw is nil over TLS: then it neither rests nor is written to directly.
	c.nc, c.raw = nc, rawConn(nc)
	return c
}

// refuseRaw is refuse for a connection that was taken over. It closes it.
func refuseRaw(nc stream, err error) {
	status := http.StatusForbidden
	var own *StatusError
	if errors.As(err, &own) {
		status = own.Status
	}
	text := refusalText(err)
	resp := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Close: true, Header: make(http.Header),
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
	refusalHeader(resp.Header, status)
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_ = resp.Write(nc)
	_ = nc.Close() // nothing is owed
}

// writeUpgrade writes the response to the upgrade, within timeout.
func writeUpgrade(nc stream, key, subprotocol, extension string, timeout time.Duration) error {
	b := make([]byte, 0, 256)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, acceptKey(key)...)
	if subprotocol != "" {
		b = append(b, "\r\nSec-WebSocket-Protocol: "...)
		b = append(b, subprotocol...)
	}
	if extension != "" {
		b = append(b, "\r\nSec-WebSocket-Extensions: "...)
		b = append(b, extension...)
	}
	b = append(b, "\r\n\r\n"...)
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := nc.Write(b); err != nil {
		return err
	}
	// Later writes have deadlines of their own, or never block.
	return nc.SetWriteDeadline(time.Time{})
}

// acceptKey returns the response to a Sec-WebSocket-Key (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	// SHA-1 is what the protocol demands; nothing secret depends on it.
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
