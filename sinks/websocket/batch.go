package websocket

import (
	"iter"
	"slices"
	"sync"
)

// The bounds of one write: large enough that the cost of the call is small compared with
// that of the frames, small enough to keep the buffers small and the other connections from
// waiting. What waits for a client that does not take a full batch at once is less, since no
// policy can discard what is being written.
var (
	fullBatch = load{frames: maxBatchFrames, bytes: 64 << 10}
	slowBatch = load{frames: 32, bytes: writeStep}
)

const maxBatchFrames = 256

// batch is what one write takes. One goroutine at a time owns it: the one that has
// it from the pool batches. A single frame may exceed the bound on bytes.
type batch struct {
	// How many of items are used.
	n int
	// What of them are events and control messages.
	events, asked load
	items         [maxBatchFrames]*item
	buf           []byte // for more than one frame
}

var batches = sync.Pool{New: func() any { return &batch{} }}

// newBatch returns an empty batch from the pool.
func newBatch() *batch {
	b := batches.Get().(*batch)
	b.clear()
	return b
}

// clear notes that the batch holds nothing. Its owner has let go of its items before.
func (b *batch) clear() { b.n, b.events, b.asked = 0, load{}, load{} }

// hooks reports whether an item of the batch has one.
func (b *batch) hooks() bool {
	return slices.ContainsFunc(b.items[:b.n], func(it *item) bool { return it.written != nil })
}

// joined returns the content of the batch in one slice, which is valid until the
// batch is used again. A single frame is not copied.
func (b *batch) joined() []byte {
	if b.n == 1 {
		return b.items[0].wire
	}
	b.join(0, b.n, 0)
	return b.buf
}

// join puts the frames from to until-1, less the first skipped bytes, into buf.
func (b *batch) join(from, until, skipped int) {
	size := 0
	for _, it := range b.items[from:until] {
		size += len(it.wire)
	}
	b.buf = slices.Grow(b.buf[:0], size-skipped)
	for _, it := range b.items[from:until] {
		b.buf = append(b.buf, it.wire[skipped:]...)
		skipped = 0
	}
}

// pieces yields the content of the batch but for the first sent bytes, in pieces of at
// most writeStep bytes or of one frame, so that a batch that waits for its client needs a
// small buffer only. A piece is valid until the next one.
func (b *batch) pieces(sent int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := 0
		for i < b.n && sent >= len(b.items[i].wire) {
			sent -= len(b.items[i].wire)
			i++
		}
		for i < b.n {
			until, size := i+1, len(b.items[i].wire)-sent
			for until < b.n && size+len(b.items[until].wire) <= writeStep {
				size += len(b.items[until].wire)
				until++
			}
			piece := b.items[i].wire[sent:]
			if until > i+1 {
				b.join(i, until, sent)
				piece = b.buf
			}
			if !yield(piece) {
				return
			}
			i, sent = until, 0
		}
	}
}

// until returns how many items a slow batch has room for, from that on with which sent bytes
// have not gone out in full.
func (b *batch) until(sent int) int {
	i := 0
	for i < b.n && sent >= len(b.items[i].wire) {
		sent -= len(b.items[i].wire)
		i++
	}
	first, bytes := i, -sent
	for i < b.n && i < first+slowBatch.frames {
		bytes += len(b.items[i].wire)
		if i > first && bytes > slowBatch.bytes {
			break
		}
		i++
	}
	return i
}
