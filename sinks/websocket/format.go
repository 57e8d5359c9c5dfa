package websocket

import (
	"reflect"
	"sync"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// format is how messages are encoded for some clients of an endpoint. Clients with
// the same format share the frames of broadcasts. It does not change.
type format struct {
	codec.Serializer
	index int // of encodings.items
	// deflate compresses the messages of the format plain; both are nil without
	// compression.
	deflate *deflater
	plain   *format
	// foreign: the serializer is not of this module, and may panic.
	foreign bool
}

// formats holds the formats of an endpoint, of which there are few.
type formats struct {
	mu   sync.Mutex
	list []*format // guarded by mu
}

// of returns the format with a serializer and without compression, and makes it first
// if there is none.
func (fs *formats) of(s codec.Serializer) *format {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	// The others cannot be compared: they get a format for each mount. The value and not
	// its type is asked, since a field that is an interface can hold a slice.
	if reflect.ValueOf(s).Comparable() {
		for _, f := range fs.list {
			if f.deflate == nil && f.Serializer == s {
				return f
			}
		}
	}
	_, known := s.(codec.Version)
	return fs.add(format{Serializer: s, foreign: !known})
}

// deflated returns the format with the serializer of plain and with d, and makes it
// first if there is none.
func (fs *formats) deflated(plain *format, d *deflater) *format {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if f.plain == plain && f.deflate == d {
			return f
		}
	}
	return fs.add(format{Serializer: plain.Serializer, foreign: plain.foreign, plain: plain, deflate: d})
}

// add adds a format. The mutex is held.
func (fs *formats) add(f format) *format {
	f.index = len(fs.list)
	fs.list = append(fs.list, &f)
	return &f
}

// decode parses a message of a client.
func (f *format) decode(data []byte, binary bool, maxDepth int) (m codec.Message, err error) {
	if f.foreign {
		defer crash.Catch(&err)
	}
	return f.Decode(data, binary, maxDepth)
}

// message returns the frame of a push or a control message.
func (f *format) message(joinRef, ref codec.Ref, topic, event string, p codec.Payload) (w wire, err error) {
	if f.foreign {
		defer crash.Catch(&err)
	}
	size := len(p.Data) + len(topic) + len(event) + len(joinRef) + len(ref) + envelope
	b, err := f.AppendMessage(newWire(size), joinRef, ref, topic, event, p)
	if err != nil {
		return nil, err
	}
	return f.seal(b, p), nil
}

// reply returns the frame of a reply. It is in buf if that has room, and otherwise in a new
// slice that buf is set to; with nil it is always in a new one.
func (f *format) reply(buf *[]byte, joinRef, ref codec.Ref, topic string, r Reply) (w wire, err error) {
	if f.foreign {
		defer crash.Catch(&err)
	}
	p, err := codec.Encode(r.response)
	if err != nil {
		return nil, err
	}
	size := len(p.Data) + len(topic) + len(joinRef) + len(ref) + envelope
	b, err := f.AppendReply(wireIn(buf, size), joinRef, ref, topic, r.status, p)
	if err != nil {
		return nil, err
	}
	return f.seal(b, p), nil
}

// broadcast returns the frame of a broadcast.
func (f *format) broadcast(topic, event string, p codec.Payload) (w wire, err error) {
	if f.foreign {
		defer crash.Catch(&err)
	}
	b, err := f.AppendBroadcast(newWire(len(p.Data)+len(topic)+len(event)+envelope), topic, event, p)
	if err != nil {
		return nil, err
	}
	return f.seal(b, p), nil
}

// seal makes the frame of a message with payload p.
func (f *format) seal(b []byte, p codec.Payload) wire {
	op := ws.OpText
	if f.Binary(p) {
		op = ws.OpBinary
	}
	if f.deflate != nil {
		return f.deflate.seal(b, op)
	}
	return seal(b, op)
}
