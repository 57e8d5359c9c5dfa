package websocket

import (
	"runtime"
	"sync"
)

// writers writes to all connections that have something queued: a handful of
// goroutines, which exist only while there is work, take connections in the
// order in which they became ready. One write takes what the connection has
// queued by then. So the busier the endpoint, the longer a connection waits
// for its turn, the more goes out at once, and the less each message costs;
// nothing is ever delayed for the sake of it.
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
}

// yieldAfter is how many connections a writer serves before it lets other
// goroutines run: about a tenth of a millisecond. The scheduler by itself
// would let them wait for ten.
const yieldAfter = 16

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
		if !c.take(b) {
			continue
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
			b = batches.Get().(*batch)
		case c.done(b):
			w.ready(c)
		}
		if n%yieldAfter == 0 {
			runtime.Gosched()
		}
	}
}

var rawWriters = sync.Pool{New: func() any { return newRawWriter() }}
