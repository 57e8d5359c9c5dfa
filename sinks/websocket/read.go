package websocket

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

var (
	errTooBig    = &protocolError{ws.StatusMessageTooBig, "message too big"}
	errFragments = &protocolError{ws.StatusPolicyViolation, "too many or empty fragments"}
	errText      = &protocolError{ws.StatusInvalidFramePayloadData, "text is not UTF-8"}
)

// readMessage reads one message, answering pings on the way, and handles it.
// An error ends the connection; a *protocolError names its close code.
func (c *conn) readMessage() error {
	buf, op, err := c.nextMessage()
	// A control frame between messages: there is nothing to decode.
	if buf == nil {
		return err
	}
	// Decode's result does not refer to it, so that a handler may keep its payload.
	defer recycle(buf)
	if err != nil {
		return err
	}
	if c.isDeaf() {
		return c.drain(ws.StateServerSide)
	}
	// 1011: Phoenix's serializer raises, which closes the connection with this code.
	if err := c.receiveMessage(*buf, op == ws.OpBinary); err != nil {
		return &protocolError{ws.StatusInternalServerError, err.Error()}
	}
	c.wasNotReading(0)
	return nil
}

// nextMessage reads one message into a buffer that the caller recycles. It returns
// no buffer after a control frame between messages.
func (c *conn) nextMessage() (buf *[]byte, op ws.OpCode, err error) {
	c.deadline = time.Time{}
	var text textCheck
	// CheckHeader refuses what the state does not allow, such as a continuation
	// without a beginning (RFC 6455, 5.4).
	state := ws.StateServerSide
	if c.format.deflate != nil {
		state = state.Set(ws.StateExtended) // readHeader checks the reserved bits then
	}
	compressed := false
	for count := 0; ; {
		waited, err := c.pace()
		if err == errEnding {
			err = c.drain(state)
		}
		if err != nil {
			return buf, op, err
		}
		if waited > 0 {
			c.wasNotReading(0) // the message's own time goes on: the client sends too much
		}
		h, err := c.readHeader(c, state)
		if err != nil {
			return buf, op, err
		}
		// It does not count as a fragment, nor against MessageBytes.
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil || buf == nil {
				// Between messages: start again, so that no deadline stays.
				return buf, op, err
			}
			continue
		}
		count++
		switch {
		case count > c.mount.cfg.Limits.Fragments, h.Length == 0 && !h.Fin:
			return buf, op, errFragments
		case buf == nil:
			op = h.OpCode
			compressed = h.Rsv1()
			text.on = op == ws.OpText && !compressed
			buf = buffer(int(min(h.Length, 16<<10))) // whatever length is promised
		}
		// Before the payload is read: the length in the header is enough to refuse it.
		if h.Length > int64(c.mount.cfg.Limits.MessageBytes-len(*buf)) {
			return buf, op, errTooBig
		}
		if err := c.readPayload(buf, h, &text); err != nil {
			return buf, op, err
		}
		// Paid after the frame: the next one waits for it, in pace.
		c.spend(c.mount.cfg.Limits.ByteRate, int(h.Length))
		if h.Fin {
			c.deadline = time.Time{}
			if compressed {
				buf, err = c.inflate(buf, op)
			}
			return buf, op, err
		}
		// Now only continuations and control frames may come (RFC 6455, 5.4).
		state = state.Set(ws.StateFragmented)
		c.within(c.mount.cfg.Timeouts.Message)
	}
}

// textCheck checks that a text is UTF-8 while it comes, so that invalid text is
// refused before the rest has come.
type textCheck struct {
	on   bool
	upTo int // how much has been checked
}

// ok reports whether b can be the beginning of valid text, or is valid if it is
// whole.
func (t *textCheck) ok(b []byte, whole bool) bool {
	if !t.on {
		return true
	}
	// Up to where b can be checked now.
	end := len(b)
	for i := end - 1; !whole && i >= max(t.upTo, len(b)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				end = i // the rest of the character is still to come
			}
			break
		}
	}
	valid := utf8.Valid(b[t.upTo:end])
	t.upTo = end
	return valid
}

// readHeader reads the header of a frame from r, which is c or buffers what c reads,
// and checks it against the protocol.
func (c *conn) readHeader(r io.Reader, state ws.State) (ws.Header, error) {
	// Into a buffer of the struct, so that nothing is allocated.
	h, err := ws.ReadHeaderBuffer(r, c.header[:])
	switch {
	case errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return h, &protocolError{ws.StatusMessageTooBig, "length of a frame out of range"}
	case err != nil:
		return h, err
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, &protocolError{ws.StatusProtocolError, err.Error()}
	}
	// Only the first frame of a message may say that it is compressed (RFC 7692, 6).
	first := h.OpCode == ws.OpText || h.OpCode == ws.OpBinary
	if h.Rsv != 0 && !(first && h.Rsv1() && !h.Rsv2() && !h.Rsv3()) {
		return h, &protocolError{ws.StatusProtocolError, "reserved bit of a frame"}
	}
	// A server must close the connection then (RFC 6455, 5.1).
	if !h.Masked {
		return h, &protocolError{ws.StatusProtocolError, "frame of the client is not masked"}
	}
	return h, nil
}

// readPayload appends the payload of a frame to buf, which grows with the bytes
// that come and not with the length in the header.
func (c *conn) readPayload(buf *[]byte, h ws.Header, text *textCheck) error {
	b := *buf
	// The conversion cannot truncate: nextMessage has compared with MessageBytes.
	for done, size := 0, int(h.Length); done < size; {
		// The rest has not come yet: from now on the client has Timeouts.Message.
		if c.from == c.to {
			c.within(c.mount.cfg.Timeouts.Message)
		}
		left := size - done
		if len(b) == cap(b) {
			b = append(b, make([]byte, min(left, max(cap(b), 1<<10)))...)[:len(b)]
		}
		at := len(b)
		n, err := c.Read(b[at : at+min(left, cap(b)-at)])
		b = b[:at+n]
		*buf = b
		if err != nil {
			return err
		}
		// done is the offset in the frame, at which the mask of four bytes goes on.
		ws.Cipher(b[at:], h.Mask, done)
		if done += n; done < size && !text.ok(b, false) {
			return errText
		}
	}
	if !text.ok(b, h.Fin) {
		return errText
	}
	return nil
}

// control handles a ping, pong or close.
// A control frame can come between the fragments of a message (RFC 6455, 5.4).
// A pong needs no response: its bytes alone show that the client is alive.
func (c *conn) control(h ws.Header) error {
	// At most 125 bytes, which CheckHeader has checked (RFC 6455, 5.5).
	var data [ws.MaxControlFramePayloadSize]byte
	p := data[:h.Length]
	if _, err := io.ReadFull(c, p); err != nil {
		return err
	}
	ws.Cipher(p, h.Mask, 0)
	switch h.OpCode {
	// The pong has the same data (RFC 6455, 5.5.3).
	case ws.OpPing:
		begin := time.Now()
		if c.awaitRoom(roomForHeartbeats) {
			_ = c.send(&item{wire: pongWire(p), control: true, urgent: true}) // refused only if the connection closes
		}
		c.wasNotReading(time.Since(begin))
	case ws.OpClose:
		c.closeBack(closeReply(p))
		return errPeerClosed
	}
	return nil
}

// closeReply returns the code of the response to a close frame: 1000 if that is
// well formed, as Phoenix responds, otherwise 1002 or 1007.
func closeReply(p []byte) ws.StatusCode {
	// A close frame without a code is well formed (RFC 6455, 7.1.5).
	if len(p) == 0 {
		return ws.StatusNormalClosure
	}
	// A code has two bytes in network order (RFC 6455, 5.5.1).
	if len(p) == 1 || !closeCodeAllowed(int(binary.BigEndian.Uint16(p))) {
		return ws.StatusProtocolError
	}
	if !utf8.Valid(p[2:]) {
		return ws.StatusInvalidFramePayloadData
	}
	return ws.StatusNormalClosure
}
