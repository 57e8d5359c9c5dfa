package websocket

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

var (
	errTooBig    = &protocolError{ws.StatusMessageTooBig, "message too big"}
	errFragments = &protocolError{ws.StatusPolicyViolation, "too many or empty fragments"}
	errText      = &protocolError{ws.StatusInvalidFramePayloadData, "text is not UTF-8"}
)

// readMessage reads one message, answering pings on the way, and handles it.
func (c *conn) readMessage() error {
	c.deadline = time.Time{}
	var (
		buf   *[]byte
		op    ws.OpCode
		count int
	)
	defer func() {
		if buf != nil {
			recycle(buf)
		}
	}()
	state := ws.StateServerSide
	for {
		h, err := c.readHeader(state)
		if err != nil {
			return err
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return err
			}
			if buf == nil {
				// Between messages: start afresh, so that no deadline stays.
				return nil
			}
			continue
		}
		count++
		switch {
		case count > c.mount.config.MaxFragments, h.Length == 0 && !h.Fin:
			return errFragments
		case buf == nil:
			op = h.OpCode
			buf = buffer(int(min(h.Length, 16<<10))) // pooled, never more than that on trust
		}
		if h.Length > int64(c.mount.config.MaxFrame-len(*buf)) {
			return errTooBig
		}
		if err := c.readPayload(buf, h); err != nil {
			return err
		}
		if h.Fin {
			break
		}
		state = state.Set(ws.StateFragmented)
		c.within(c.mount.config.MessageTimeout)
	}
	c.deadline = time.Time{}
	if op == ws.OpText && !utf8.Valid(*buf) {
		return errText
	}
	if c.isClosing() {
		return nil // only the answer to our close is waited for
	}
	m, err := codec.Decode(c.version, op == ws.OpBinary, *buf)
	if err != nil {
		var detail *codec.DecodeError
		errors.As(err, &detail)
		return &protocolError{ws.StatusInternalServerError, detail.Error()}
	}
	c.handle(m)
	return nil
}

func (c *conn) readHeader(state ws.State) (ws.Header, error) {
	h, err := ws.ReadHeaderBuffer(c, c.header[:])
	switch {
	case errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return h, &protocolError{ws.StatusMessageTooBig, "length of a frame out of range"}
	case err != nil:
		return h, err
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, &protocolError{ws.StatusProtocolError, err.Error()}
	}
	if !h.Masked {
		return h, &protocolError{ws.StatusProtocolError, "frame of the client is not masked"}
	}
	return h, nil
}

// readPayload appends the payload of a frame to buf, which grows with what
// comes and not with what was promised.
func (c *conn) readPayload(buf *[]byte, h ws.Header) error {
	b := *buf
	start, left := len(b), int(h.Length)
	for left > 0 {
		if c.from == c.to {
			c.within(c.mount.config.MessageTimeout)
		}
		if len(b) == cap(b) {
			b = append(b, make([]byte, min(left, max(cap(b), 1<<10)))...)[:len(b)]
		}
		n := min(left, cap(b)-len(b))
		got, err := c.Read(b[len(b) : len(b)+n])
		b = b[:len(b)+got]
		left -= got
		*buf = b
		if err != nil {
			return err
		}
	}
	ws.Cipher(b[start:], h.Mask, 0)
	return nil
}

// control handles a ping, pong or close.
func (c *conn) control(h ws.Header) error {
	var data [ws.MaxControlFramePayloadSize]byte
	p := data[:h.Length]
	if _, err := io.ReadFull(c, p); err != nil {
		return err
	}
	ws.Cipher(p, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		// Refused if the client does not read: the next ping will do.
		_ = c.enqueue(item{wire: pongWire(p), control: true})
	case ws.OpClose:
		c.close(answerClose(p), ErrClosed, true)
		return errPeerClosed
	}
	return nil
}

// answerClose is the code to answer a close frame with: 1000 if it was well
// formed, as Phoenix answers, and 1002 or 1007 if not.
func answerClose(p []byte) ws.StatusCode {
	if len(p) == 0 {
		return ws.StatusNormalClosure
	}
	if len(p) == 1 || !closeCodeAllowed(int(binary.BigEndian.Uint16(p))) {
		return ws.StatusProtocolError
	}
	if !utf8.Valid(p[2:]) {
		return ws.StatusInvalidFramePayloadData
	}
	return ws.StatusNormalClosure
}
