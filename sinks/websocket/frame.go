package websocket

import (
	"encoding/binary"

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

// opOf returns the opcode for a payload.
func opOf(p codec.Payload) ws.OpCode {
	if p.Binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// envelope is the room for what surrounds a payload in a message.
const envelope = 64

// messageWire returns the frame of a push or a control message.
func messageWire(v codec.Version, joinRef, ref codec.Ref, topic, event string, p codec.Payload) (wire, error) {
	size := len(p.Data) + len(topic) + len(event) + len(joinRef) + len(ref) + envelope
	b, err := codec.AppendMessage(newWire(size), v, joinRef, ref, topic, event, p)
	if err != nil {
		return nil, err
	}
	return seal(b, opOf(p)), nil
}

// replyWire returns the frame of a reply.
func replyWire(v codec.Version, joinRef, ref codec.Ref, topic string, r Reply) (wire, error) {
	p, err := codec.Encode(r.response)
	if err != nil {
		return nil, err
	}
	size := len(p.Data) + len(topic) + len(joinRef) + len(ref) + envelope
	b, err := codec.AppendReply(newWire(size), v, joinRef, ref, topic, r.status, p)
	if err != nil {
		return nil, err
	}
	return seal(b, opOf(p)), nil
}

// closeWire returns a close frame without a reason.
func closeWire(code ws.StatusCode) wire {
	b := newWire(2)
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return seal(b, ws.OpClose)
}

// pongWire returns the pong to a ping with data.
func pongWire(data []byte) wire {
	return seal(append(newWire(len(data)), data...), ws.OpPong)
}

// encodings holds what the receivers of one broadcast share: one item for each
// version of the protocol, made when the first receiver needs it.
type encodings struct {
	items [2]item // made if wire is not nil
	errs  [2]error

	numbered codec.Payload // of a topic with history; see numberedPayload
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

// broadcastItem returns the item of m for clients of version v, with the policy of
// the receiver that needs it first.
func broadcastItem(m *pubsub.Message, v codec.Version, policy Overflow) (*item, error) {
	e := encodingsOf(m)
	it := &e.items[v]
	// An error is kept too, so that a payload is not encoded again for each receiver.
	if it.wire == nil && e.errs[v] == nil {
		size := len(m.Payload.Data) + len(m.Topic) + len(m.Event) + envelope
		b, err := codec.AppendBroadcast(newWire(size), v, m.Topic, m.Event, m.Payload)
		if err != nil {
			e.errs[v] = err
		} else {
			it.wire, it.policy = seal(b, opOf(m.Payload)), policy
			if t := m.Tally(); t != nil {
				it.written = t
			}
		}
	}
	return it, e.errs[v]
}

// encodeObject encodes a payload for a push or broadcast.
func encodeObject(v any) (codec.Payload, error) {
	p, err := codec.Encode(v)
	if err == nil && !p.IsObject() {
		err = ErrPayload
	}
	return p, err
}
