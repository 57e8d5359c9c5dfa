package websocket

import "sync"

// The bounds of one write: large enough that the cost of the call is small
// compared with that of the frames, small enough to keep the buffer small.
const (
	maxBatchFrames = 32
	maxBatchBytes  = 16 << 10
)

// batch is what one write takes. One goroutine at a time owns it: the one that has
// it from the pool batches. A single frame may exceed maxBatchBytes.
type batch struct {
	// How many of items are used.
	n int
	// What of them are events and control messages.
	events, asked load
	items         [maxBatchFrames]*item
	buf           []byte // for more than one frame
}

var batches = sync.Pool{New: func() any { return &batch{} }}

// joined returns the content of the batch in one slice, which is valid until the
// batch is used again. A single frame is not copied.
func (b *batch) joined() []byte {
	if b.n == 1 {
		return b.items[0].wire
	}
	// A batch that only ever holds one frame needs no buffer.
	if b.buf == nil {
		b.buf = make([]byte, 0, maxBatchBytes)
	}
	b.buf = b.buf[:0]
	for i := range b.n {
		b.buf = append(b.buf, b.items[i].wire...)
	}
	return b.buf
}
