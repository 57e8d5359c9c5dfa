package pubsub

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/penstock-go/penstock/trace"
)

// The wire form of a message, in which numbers are unsigned varints and texts
// have their length in front:
//
//	version  1 byte
//	kind     1 byte
//	origin   text: the name of the node that sends
//	answers  9 bytes each, up to the end                       (kindAnswers)
//	ids      8 bytes each, up to the end                       (kindQuestion)
//	topic, event                                                (other kinds)
//	id       8 bytes                                            (kindDelivery)
//	flags    1 byte
//	sent     in unix milliseconds                               (flagSent)
//	epoch, offset                                               (flagPosition)
//	trace    16 bytes trace id, 8 bytes span id, 1 byte flags,  (flagTrace)
//	         and the tracestate as a text
//	payload  up to the end
//
// A node drops messages of a version that it does not know. So a release that
// brings another version must still send the old one, until every node of a
// cluster knows the new one.
const wireVersion = 1

// The kinds of messages between hubs.
const (
	kindBroadcast = iota
	kindDelivery  // to be answered, unless its id is 0
	kindAnswers   // what became of deliveries
	kindQuestion  // asks what became of them
	kinds
)

const (
	flagBinary   = 1 << iota // the payload is binary
	flagPosition             // the origin's history keeps the message
	flagSent                 // a delivery says when it was sent
	flagCertain              // its origin waits for it
	// It belongs to a sampled trace. A node of a release that does not know the flag drops
	// the message, so that a tracer is configured once all nodes know it.
	flagTrace
	flagsKnown = flagBinary | flagPosition | flagSent | flagCertain | flagTrace
)

// MalformedError reports why bytes are not a message. It holds nothing of them.
type MalformedError struct {
	// Reason is a short fixed text.
	Reason string
	// Version is the version byte; 0 if there was none.
	Version byte
}

// Error returns the reason and the version.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("pubsub: malformed message: %s (version %d)", e.Reason, e.Version)
}

// wire is what a message between hubs has besides topic, event and payload.
type wire struct {
	kind    uint8
	origin  string
	id      uint64        // of a delivery
	sent    int64         // of a delivery, in unix milliseconds; 0 if it does not say
	certain bool          // of a delivery: it is not late
	at      Position      // in the origin's history; offset 0 if that does not keep the message
	answers []answer      // of kindAnswers
	ids     []uint64      // of kindQuestion
	trace   trace.Context // if that is sampled
}

// Origin returns the name of the node that published m; empty if that is this
// node and it has no [Remote].
func (m *Message) Origin() string {
	if m.more == nil {
		return ""
	}
	return m.more.wire.origin
}

// DeliveryID returns the number of a delivery of this node that other nodes are to
// answer, and 0 for any other message. It is for a [Remote] that calls
// [CountReceiver.Counted].
func (m *Message) DeliveryID() uint64 {
	if m.more == nil || m.more.wire.kind != kindDelivery {
		return 0
	}
	return m.more.wire.id
}

// OriginPosition returns where a message from another node stands in the history
// of that node, if its history keeps the message. A history that nodes share keeps
// the message at that position and not a second time.
func (m *Message) OriginPosition() (at Position, kept bool) {
	if m.more == nil {
		return Position{}, false
	}
	return m.more.wire.at, m.more.wire.at.Offset > 0
}

// TraceContext returns the span that a message was sent for, if its trace is sampled: that of
// the context given to Deliver or Broadcast, on whichever node that was.
func (m *Message) TraceContext() trace.Context {
	if m.more == nil {
		return trace.Context{}
	}
	return m.more.wire.trace
}

// maxTraced bounds the spans for one message at one node.
const maxTraced = 16

// Traced reports whether a subscriber of this node may make a span of its own for the message,
// as the first 16 may. It is called in Subscriber.Deliver.
func (m *Message) Traced() bool {
	if m.more == nil || !m.more.wire.trace.IsSampled() || m.more.traced == maxTraced {
		return false
	}
	m.more.traced++
	return true
}

// carry has the message carry the span of ctx, if that is sampled.
func (m *Message) carry(ctx context.Context) {
	if c := trace.FromContext(ctx); c.IsSampled() {
		m.rest().wire.trace = c
	}
}

// AfterDispatch has f called once the message was offered to all subscribers of this node. It
// may be called in Subscriber.Deliver, for a message that has a TraceContext.
func (m *Message) AfterDispatch(f func()) { m.rest().after = append(m.rest().after, f) }

// dispatched calls what was passed to AfterDispatch.
func (m *Message) dispatched() {
	for _, f := range m.more.after {
		f()
	}
	m.more.after = nil
}

// Append appends the wire form of m to dst. It is called by a [Remote] in Publish.
func (m *Message) Append(dst []byte) []byte {
	var w wire
	if m.more != nil {
		w = m.more.wire
	}
	dst = append(dst, wireVersion, w.kind)
	dst = appendText(dst, w.origin)
	switch w.kind {
	case kindAnswers:
		for _, a := range w.answers {
			dst = a.append(dst)
		}
		return dst
	case kindQuestion:
		for _, id := range w.ids {
			dst = binary.BigEndian.AppendUint64(dst, id)
		}
		return dst
	}
	dst = appendText(dst, m.Topic)
	dst = appendText(dst, m.Event)
	if w.kind == kindDelivery {
		dst = binary.BigEndian.AppendUint64(dst, w.id)
	}
	at, kept := m.Position()
	var flags byte
	if m.Payload.Binary {
		flags |= flagBinary
	}
	if kept {
		flags |= flagPosition
	}
	if w.sent > 0 {
		flags |= flagSent
	}
	if w.certain {
		flags |= flagCertain
	}
	if w.trace.IsSampled() {
		flags |= flagTrace
	}
	dst = append(dst, flags)
	if w.sent > 0 {
		dst = binary.AppendUvarint(dst, uint64(w.sent))
	}
	if kept {
		dst = appendText(dst, at.Epoch)
		dst = binary.AppendUvarint(dst, at.Offset)
	}
	if flags&flagTrace != 0 {
		dst = append(dst, w.trace.TraceID[:]...)
		dst = append(dst, w.trace.SpanID[:]...)
		dst = append(dst, byte(w.trace.Flags))
		dst = appendText(dst, w.trace.State)
	}
	return append(dst, m.Payload.Data...)
}

// appendText appends a text with its length in front.
func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Decode reads the wire form. The payload of the message refers to data, which
// must not be changed afterwards. The error is a [*MalformedError].
func Decode(data []byte) (*Message, error) {
	r := reader{rest: data}
	version := r.byte()
	if version != wireVersion {
		return nil, &MalformedError{"unknown version", version}
	}
	m := &struct { // one allocation
		Message
		more
	}{}
	m.Message.more = &m.more
	w := &m.more.wire
	w.kind = r.byte()
	w.origin = r.text()
	switch {
	case w.kind >= kinds:
		return nil, &MalformedError{"unknown kind", version}
	case w.origin == "":
		r.fail("no origin")
	case w.kind == kindAnswers:
		for len(r.rest) > 0 && r.reason == "" {
			w.answers = append(w.answers, r.answer())
		}
	case w.kind == kindQuestion:
		for len(r.rest) > 0 && r.reason == "" {
			w.ids = append(w.ids, r.fixed())
		}
	default:
		r.message(&m.Message)
	}
	if r.reason != "" {
		return nil, &MalformedError{r.reason, version}
	}
	return &m.Message, nil
}

// reader reads the parts of a message. After the first fault it returns zeros.
type reader struct {
	rest   []byte
	reason string
}

// fail notes the first fault; nothing is read after it.
func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	r.rest = nil
}

// bytes reads n bytes, which are not copied.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("too short")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads an unsigned varint.
func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// fixed reads 8 bytes.
func (r *reader) fixed() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text reads a text of any bytes: topics need not be UTF-8.
func (r *reader) text() string {
	return string(r.bytes(r.number()))
}

// trace reads a trace context. One that cannot be is left out: the message is good without it.
func (r *reader) trace() (c trace.Context) {
	copy(c.TraceID[:], r.bytes(uint64(len(c.TraceID))))
	copy(c.SpanID[:], r.bytes(uint64(len(c.SpanID))))
	c.Flags = trace.Flags(r.byte())
	if c = c.WithState(r.text()); !c.IsSampled() {
		return trace.Context{}
	}
	return c
}

// message reads a broadcast or a delivery.
func (r *reader) message(m *Message) {
	m.Topic, m.Event = r.text(), r.text()
	if m.more.wire.kind == kindDelivery {
		m.more.wire.id = r.fixed()
	}
	flags := r.byte()
	if flags&^flagsKnown != 0 {
		r.fail("unknown flags")
	}
	if flags&flagSent != 0 {
		m.more.wire.sent = int64(r.number())
	}
	m.more.wire.certain = flags&flagCertain != 0
	if flags&flagPosition != 0 {
		m.more.wire.at = Position{Epoch: r.text(), Offset: r.number()}
	}
	if flags&flagTrace != 0 {
		m.more.wire.trace = r.trace()
	}
	m.Payload = Payload{Data: r.rest, Binary: flags&flagBinary != 0}
	if r.reason == "" && !m.Payload.Binary && (!m.Payload.IsObject() || !validJSON(m.Payload.Data)) {
		r.fail("payload is not a JSON object")
	}
}
