package websocket

import (
	"sync"
	"time"
)

// item is one wire in an outbound queue. That of a broadcast may be in many
// queues at once: nobody may change one that has been queued.
type item struct {
	wire    wire
	written func(at time.Time, err error) // may be nil
	key     string                        // of conflation; "" for none
	policy  Overflow                      // what may happen to it; none for a control message
	control bool                          // never given up by a policy
	last    bool                          // the close frame
}

// outbox is the outbound queue of a connection. It is guarded by the mutex of
// its session.
type outbox struct {
	line   *line // nil while nothing waits
	frames int   // waiting or being written
	bytes  int
}

// line is a list of items, of which those before head have been taken.
type line struct {
	items []*item
	head  int
}

var lines = sync.Pool{New: func() any { return &line{items: make([]*item, 0, 32)} }}

func (o *outbox) push(it *item) {
	if o.line == nil {
		o.line = lines.Get().(*line)
	}
	l := o.line
	if len(l.items) == cap(l.items) && l.head > len(l.items)/2 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, it)
	o.frames++
	o.bytes += len(it.wire)
}

func (o *outbox) waiting() int {
	if o.line == nil {
		return 0
	}
	return len(o.line.items) - o.line.head
}

// release gives the empty line back.
func (o *outbox) release() {
	if l := o.line; l != nil {
		o.line = nil
		if cap(l.items) <= 64 {
			l.items, l.head = l.items[:0], 0
			lines.Put(l)
		}
	}
}

// replace puts it in the place of an item that waits with the same key.
func (o *outbox) replace(it *item) (old *item) {
	if o.line == nil {
		return nil
	}
	for i := o.line.head; i < len(o.line.items); i++ {
		if old := o.line.items[i]; old.key == it.key {
			o.line.items[i] = it
			o.bytes += len(it.wire) - len(old.wire)
			return old
		}
	}
	return nil
}

// giveUpOldest takes the oldest item out that a policy may give up.
func (o *outbox) giveUpOldest() *item {
	if o.line == nil {
		return nil
	}
	l := o.line
	for i := l.head; i < len(l.items); i++ {
		if it := l.items[i]; !it.control && it.policy != waits {
			copy(l.items[i:], l.items[i+1:])
			l.items[len(l.items)-1] = nil
			l.items = l.items[:len(l.items)-1]
			o.frames--
			o.bytes -= len(it.wire)
			return it
		}
	}
	return nil
}

// drop takes all out that waits.
func (o *outbox) drop() (gone []*item, bytes int) {
	if o.line == nil {
		return nil, 0
	}
	gone = append(gone, o.line.items[o.line.head:]...)
	for i := range gone {
		bytes += len(gone[i].wire)
	}
	clear(o.line.items)
	o.line.items, o.line.head = o.line.items[:0], 0
	o.frames -= len(gone)
	o.bytes -= bytes
	return gone, bytes
}

// The most that goes into one write: enough to make the cost of the call
// small against that of the frames, little enough to keep the buffer small.
const (
	maxBatchFrames = 32
	maxBatchBytes  = 16 << 10
)

// batch is what one write takes.
type batch struct {
	n     int
	bytes int
	items [maxBatchFrames]*item
	buf   []byte // for more than one frame
}

var batches = sync.Pool{New: func() any { return &batch{} }}

// take moves items from the head of the queue into b.
func (o *outbox) take(b *batch) {
	b.n, b.bytes = 0, 0
	l := o.line
	if l == nil {
		return
	}
	for l.head < len(l.items) && b.n < maxBatchFrames {
		it := l.items[l.head]
		if b.n > 0 && b.bytes+len(it.wire) > maxBatchBytes {
			break
		}
		b.items[b.n] = it
		b.n++
		b.bytes += len(it.wire)
		l.items[l.head] = nil
		l.head++
	}
	if l.head == len(l.items) {
		l.items, l.head = l.items[:0], 0
	}
}

// joined is the content of the batch in one slice.
func (b *batch) joined() []byte {
	if b.n == 1 {
		return b.items[0].wire
	}
	if b.buf == nil {
		b.buf = make([]byte, 0, maxBatchBytes)
	}
	b.buf = b.buf[:0]
	for i := range b.n {
		b.buf = append(b.buf, b.items[i].wire...)
	}
	return b.buf
}
