package history

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/penstock-go/penstock/pubsub"
)

// entry is one message of the stream. Numbers and the lengths of texts are unsigned
// varints:
//
//	version  1 byte
//	flags    1 byte
//	epoch    text
//	offset, prev
//	event    text
//	data     up to the end
type entry struct {
	epoch  string
	offset uint64
	prev   uint64 // number of the entry before in the stream, 0 if there is none
	event  string
	data   []byte
	again  bool // repeats the position of the entry before, and holds no message

	stored time.Time // by the clock of the server
}

const entryVersion = 1

var errForm = errors.New("malformed entry of the stream")

func (e *entry) at() pubsub.Position { return pubsub.Position{Epoch: e.epoch, Offset: e.offset} }

func (e *entry) append(b []byte) []byte {
	var flags byte
	if e.again {
		flags = 1
	}
	b = append(b, entryVersion, flags)
	b = append(binary.AppendUvarint(b, uint64(len(e.epoch))), e.epoch...)
	b = binary.AppendUvarint(binary.AppendUvarint(b, e.offset), e.prev)
	b = append(binary.AppendUvarint(b, uint64(len(e.event))), e.event...)
	return append(b, e.data...)
}

func decode(raw *jetstream.RawStreamMsg) (e entry, err error) {
	b := raw.Data
	number := func() (n uint64) {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			err, b = errForm, nil
			return 0
		}
		b = b[size:]
		return n
	}
	text := func() string {
		n := number()
		if n > uint64(len(b)) {
			err, b = errForm, nil
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	if len(b) < 2 || b[0] != entryVersion {
		return e, errForm
	}
	e.again = b[1] == 1
	b = b[2:]
	e.epoch, e.offset, e.prev, e.event = text(), number(), number(), text()
	e.data, e.stored = b, raw.Time
	return e, err
}
