package websocket

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// wire is one WebSocket frame as it is written to the client, header included.
// Frames of a server are not masked, so that all connections can share one wire.
// It must not be changed.
type wire = []byte

// headroom is the size of the longest header of a server, which is kept free
// before a message.
const headroom = 10

// newWire returns a slice with headroom, to which a message of size bytes can be
// appended.
func newWire(size int) []byte { return make([]byte, headroom, headroom+size) }

// wireIn is newWire in a buffer that is used again, if that is not nil.
func wireIn(buf *[]byte, size int) []byte {
	if buf == nil {
		return newWire(size)
	}
	if cap(*buf) < headroom+size {
		*buf = newWire(size)
	}
	return (*buf)[:headroom]
}

// seal writes the header into the headroom, directly before the message.
func seal(b []byte, op ws.OpCode) wire {
	n := len(b) - headroom
	switch {
	case n < 126:
		b = b[headroom-2:]
		b[1] = byte(n)
	case n < 1<<16:
		b = b[headroom-4:]
		// RFC 6455, 5.2: 126 is followed by a length of 16 bits, 127 by one of 64 bits.
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b = b[headroom-10:]
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	// FIN is set: a server's message is always one frame (RFC 6455, 5.2).
	b[0] = 0x80 | byte(op)
	return b
}

// body returns the message inside a wire, by the length of its header: seven bits,
// or 16 or 64 bits after the marks 126 and 127 (RFC 6455, 5.2).
func body(w wire) (message []byte, binaryFrame bool) {
	n := 2
	switch w[1] {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	return w[n:], isBinary(w)
}

// isBinary reports whether a wire is a binary message.
func isBinary(w wire) bool { return ws.OpCode(w[0]&0x0f) == ws.OpBinary }

// envelope is the room for what surrounds a payload in a message.
const envelope = 64

// closeWire returns a close frame with a reason in words, of at most 123 bytes.
func closeWire(code ws.StatusCode, text string) wire {
	b := newWire(2 + len(text))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return seal(append(b, text...), ws.OpClose)
}

// maxCloseText bounds the reason in a close frame, in bytes (RFC 6455, 5.5).
const maxCloseText = 123

// closeText returns what a close frame says to people. It says nothing about the
// application that the application has not said.
func closeText(code ws.StatusCode, reason error) string {
	var refused *StatusError
	if errors.As(reason, &refused) {
		text := strings.ToValidUTF8(refused.Body, "")
		for len(text) > maxCloseText {
			_, size := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-size]
		}
		return text
	}
	for _, row := range closeTexts {
		if row.code == code && (row.reason == nil || errors.Is(reason, row.reason)) {
			return row.text
		}
	}
	// The code of a shutdown is configured.
	if errors.Is(reason, ErrShutdown) {
		return "server shuts down"
	}
	return ""
}

var closeTexts = []struct {
	code   ws.StatusCode
	reason error // nil: any
	text   string
}{
	{ws.StatusGoingAway, ErrDisconnected, "disconnected by the server"},
	{ws.StatusProtocolError, nil, "protocol error or idle timeout"},
	{ws.StatusInvalidFramePayloadData, nil, "text is not UTF-8"},
	{ws.StatusPolicyViolation, nil, "message in bad fragments or too slow"},
	{ws.StatusMessageTooBig, nil, "message too big"},
	{ws.StatusInternalServerError, nil, "message cannot be handled"},
	{tryAgainLater, ErrHistory, "history does not continue"},
	{tryAgainLater, nil, "client does not keep up"},
	{closeExpired, nil, "credentials expired"},
	{closeNotJoined, nil, "no topic joined in time"},
	{closeReplaced, nil, "replaced by a newer connection"},
	{closeThrottled, nil, "sent more than allowed"},
}

// pongWire returns the pong to a ping with data.
func pongWire(data []byte) wire {
	return seal(append(newWire(len(data)), data...), ws.OpPong)
}

// encodings holds what the receivers of one broadcast share: one item for each
// format, made when the first receiver needs it.
type encodings struct {
	items []encoded  // by format.index
	few   [1]encoded // the array of items while that is enough: most clients have one format

	numbered []byte // the JSON for a topic with history; see numberedPayload

	span *tracedBroadcast // the first one of a sampled trace
}

// encoded is a broadcast in one format: an item that is made if wire is not nil. An
// error is kept too, so that a payload is not encoded again for each receiver.
type encoded struct {
	item
	err error
}

// in returns the place of a format.
func (e *encodings) in(f *format) *encoded {
	if e.items == nil {
		e.items = e.few[:]
	}
	for len(e.items) <= f.index {
		e.items = append(e.items, encoded{})
	}
	return &e.items[f.index]
}

// encodingsOf returns what the receivers of m share. It is called in the goroutine
// that dispatches m, to which m.Memo belongs.
func encodingsOf(m *pubsub.Message) *encodings {
	e, ok := m.Memo.(*encodings)
	if !ok {
		e = &encodings{}
		m.Memo = e
	}
	return e
}

// broadcastItem returns the item of m for clients with a format, with the policy of
// the receiver that needs it first.
func broadcastItem(m *pubsub.Message, f *format, policy Overflow) (*item, error) {
	e := encodingsOf(m).in(f)
	if e.wire == nil && e.err == nil {
		if e.wire, e.err = f.broadcast(m.Topic, m.Event, m.Payload); e.err == nil {
			e.policy = policy
			if t := m.Tally(); t != nil {
				e.written = t
			}
		}
	}
	return &e.item, e.err
}

// encodeObject encodes a payload for a push or broadcast.
func encodeObject(v any) (codec.Payload, error) {
	p, err := codec.Encode(v)
	if err == nil && !p.IsObject() {
		err = ErrPayload
	}
	return p, err
}
