package websocket

import (
	"sync"
	"time"
)

// item is one wire in an outbound queue.
type item struct {
	wire    wire
	written func(at time.Time, err error) // may be nil
	control bool                          // never given up by a policy
	last    bool                          // the close frame
}

// outbox is the outbound queue of a connection. It is guarded by the mutex of
// its session. The slice is there only while something waits.
type outbox struct {
	items  []item
	head   int // items before it have been taken
	frames int // waiting or being written
	bytes  int
}

var itemSlices = sync.Pool{New: func() any { s := make([]item, 0, 16); return &s }}

func (o *outbox) push(it item) {
	if o.items == nil {
		o.items = *itemSlices.Get().(*[]item)
	}
	if len(o.items) == cap(o.items) && o.head > len(o.items)/2 {
		n := copy(o.items, o.items[o.head:])
		clear(o.items[n:])
		o.items, o.head = o.items[:n], 0
	}
	o.items = append(o.items, it)
	o.frames++
	o.bytes += len(it.wire)
}

func (o *outbox) waiting() int { return len(o.items) - o.head }

// release gives the empty slice back.
func (o *outbox) release() {
	if o.items == nil {
		return
	}
	if s := o.items[:0]; cap(s) <= 64 {
		itemSlices.Put(&s)
	}
	o.items, o.head = nil, 0
}

// giveUpOldest takes the oldest item out that a policy may give up.
func (o *outbox) giveUpOldest() (item, bool) {
	for i := o.head; i < len(o.items); i++ {
		if it := o.items[i]; !it.control {
			copy(o.items[i:], o.items[i+1:])
			o.items[len(o.items)-1] = item{}
			o.items = o.items[:len(o.items)-1]
			o.frames--
			o.bytes -= len(it.wire)
			return it, true
		}
	}
	return item{}, false
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
	items [maxBatchFrames]item
	buf   []byte // for more than one frame
}

var batches = sync.Pool{New: func() any { return &batch{} }}

// take moves items from the head of the queue into b.
func (o *outbox) take(b *batch) {
	b.n, b.bytes = 0, 0
	for o.head < len(o.items) && b.n < maxBatchFrames {
		it := o.items[o.head]
		if b.n > 0 && b.bytes+len(it.wire) > maxBatchBytes {
			break
		}
		b.items[b.n] = it
		b.n++
		b.bytes += len(it.wire)
		o.items[o.head] = item{}
		o.head++
	}
	if o.head == len(o.items) {
		o.items, o.head = o.items[:0], 0
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
