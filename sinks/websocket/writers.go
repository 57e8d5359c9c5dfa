package websocket

import (
	"runtime"
	"sync"
	"time"
)

// writers writes to all connections that have something queued. While there is
// little to write, whoever has queued something writes it as well, at once: no
// other goroutine has to be woken. While there is more, a handful of goroutines,
// which exist only for so long, take connections in the order in which they
// became ready. One write takes what the connection has queued by then. So the
// busier the endpoint, the longer a connection waits for its turn, the more goes
// out at once, and the less each message costs; nothing is ever delayed for the
// sake of it.
//
// There is one writer for each processor: with four for each, neither paced
// pushes nor bursts were measurably different (five runs of both, interleaved).
//
// The writes do not block. A connection that cannot take what it is given gets
// a goroutine of its own until its queue is empty, and keeps nobody else
// waiting.
type writers struct {
	mu          sync.Mutex
	first, last *conn // linked by conn.nextReady
	active      int
	limit       int
	work        *tracker

	// Occasions to write, in this window and in the one before.
	since         time.Time
	window        time.Duration // which one, since then
	count, before int
}

// There is little to write while in each window there are no more occasions
// than this for each processor. A write costs some ten microseconds, so those
// who write for themselves take a sixth of the machine at most, and 32,000
// messages a second may be pushed on two processors before any is queued.
const (
	window       = time.Millisecond
	directWrites = 16
)

// yieldAfter is how many connections a writer serves before it lets other
// goroutines run: about a tenth of a millisecond. The scheduler by itself
// would let them wait for ten.
const yieldAfter = 16

// wake has c written to; if the caller is free, by the caller if there is little
// to write.
func (w *writers) wake(c *conn, free bool) {
	if free && w.calm(time.Since(w.since)) {
		r, b := rawWriters.Get().(*rawWriter), batches.Get().(*batch)
		b, more := w.serve(c, r, b)
		batches.Put(b)
		rawWriters.Put(r)
		if !more {
			return
		}
	}
	w.ready(c)
}

// calm counts an occasion to write and answers whether there is little to write:
// few of them in this window and in the one before, and no writer at work.
func (w *writers) calm(now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := now / window; n != w.window {
		w.before = 0
		if n == w.window+1 {
			w.before = w.count
		}
		w.window, w.count = n, 0
	}
	w.count++
	return w.active == 0 && w.first == nil && max(w.before, w.count) <= w.limit*directWrites
}

func (w *writers) ready(c *conn) {
	w.mu.Lock()
	if w.last == nil {
		w.first = c
	} else {
		w.last.nextReady = c
	}
	w.last = c
	start := w.active < w.limit
	if start {
		w.active++
	}
	w.mu.Unlock()
	if start {
		w.work.add()
		go w.run()
	}
}

// next takes the connection that has been ready longest; nil means that the
// writer must end.
func (w *writers) next() *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.first
	if c == nil {
		w.active--
		return nil
	}
	if w.first = c.nextReady; w.first == nil {
		w.last = nil
	}
	c.nextReady = nil
	return c
}

func (w *writers) run() {
	defer w.work.done()
	r := rawWriters.Get().(*rawWriter)
	defer rawWriters.Put(r)
	b := batches.Get().(*batch)
	defer func() { batches.Put(b) }()
	for n := 1; ; n++ {
		c := w.next()
		if c == nil {
			return
		}
		var more bool
		if b, more = w.serve(c, r, b); more {
			w.ready(c)
		}
		if n%yieldAfter == 0 {
			runtime.Gosched()
		}
	}
}

// serve writes once what c has queued. It answers whether there is more, and
// the batch to use from now on.
func (w *writers) serve(c *conn, r *rawWriter, b *batch) (*batch, bool) {
	if !c.take(b) {
		return b, false
	}
	p := b.joined()
	sent, err := r.write(c.raw, p)
	switch {
	case err != nil:
		c.wrote(b, err)
		c.finish(ErrClosed)
	case sent < len(p):
		w.work.add()
		go c.writeRest(b, p[sent:])
		return batches.Get().(*batch), false
	default:
		return b, c.done(b)
	}
	return b, false
}

var rawWriters = sync.Pool{New: func() any { return newRawWriter() }}
