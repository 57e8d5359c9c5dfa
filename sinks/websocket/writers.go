package websocket

import (
	"runtime"
	"sync"
	"time"
)

// writers writes to all connections that have something queued. While there is
// little to write, the goroutine that queues an item also writes it, at once, and
// no other goroutine is woken. While there is more, a few goroutines, which exist
// only for that long, take connections in the order in which they became ready.
// One write takes all that the connection has queued by then. So the busier the
// endpoint is, the longer a connection waits for its turn, the more is written at
// once, and the less each message costs; nothing is delayed on purpose.
//
// There is one writer for each processor. With four for each, neither paced
// pushes nor bursts were measurably different (five runs of both, interleaved).
//
// The writes do not block. A connection that cannot take a whole batch gets a
// goroutine of its own until its queue is empty, and delays no other connection.
type writers struct {
	mu          sync.Mutex
	first, last *conn // ready, linked by conn.nextReady; each at most once
	line        int   // how many those are
	backlog     backlog
	active      int // writers at work
	limit       int // on active
	work        *tracker
	writable    func() int64 // bytes that wait for the writers

	// How often there was something to write, in this window and the one before.
	since         time.Time
	window        time.Duration // the number of the window, counted from since
	count, before int
}

// There is little to write while no window has more than directWrites wakings for
// each processor. A write costs some ten microseconds, so goroutines that write
// for themselves take at most a sixth of the machine, and 32,000 messages a second
// can be pushed on two processors before any is queued.
const (
	window       = time.Millisecond
	directWrites = 16
)

// yieldAfter is how many connections a writer serves before it lets other
// goroutines run, about a tenth of a millisecond. The scheduler would let them
// wait for ten milliseconds.
const yieldAfter = 16

// wake ensures that c is written to: by the caller if that is free and there is
// little to write, otherwise by a writer.
func (w *writers) wake(c *conn, free bool) {
	now := time.Since(w.since)
	w.mu.Lock()
	if free && w.calm(now) {
		w.mu.Unlock()
		// The caller serves this connection once and does not loop: it has work of its own.
		r, b := rawWriters.Get().(*rawWriter), newBatch()
		b, more := w.serve(c, r, b)
		batches.Put(b)
		rawWriters.Put(r)
		if !more {
			return
		}
		now = time.Since(w.since)
		w.mu.Lock()
	}
	w.ready(c, now)
}

// calm counts a waking and reports whether there is little to write: few wakings
// in this window and the one before, and no writer at work. The mutex is held.
func (w *writers) calm(now time.Duration) bool {
	// Windows without a waking are skipped: then the one before has a count of zero.
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

// ready puts c at the end of the line, and starts a writer if fewer than allowed
// are at work. The mutex is held, and is free afterwards.
func (w *writers) ready(c *conn, now time.Duration) {
	c.readySince = now
	if w.last == nil {
		w.first = c
	} else {
		w.last.nextReady = c
	}
	w.last = c
	w.line++
	// Counted here, under the mutex, so that no more than limit are at work.
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

// next returns the connection that has been ready longest, or nil if the writer
// must end. last is what that has written since it called next before.
func (w *writers) next(last load) *conn {
	now := time.Since(w.since)
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.first
	if c == nil {
		// Under the same lock as the check: a connection that becomes ready now starts
		// a new writer.
		w.active--
		return nil
	}
	if w.first = c.nextReady; w.first == nil {
		w.last = nil
	}
	// So that a connection which has ended is not kept alive by this one.
	c.nextReady = nil
	w.line--
	w.backlog.served(now, now-c.readySince, w.line, w.writable(), last)
	return c
}

// run is one writer. It ends when no connection is ready, so that an idle endpoint has
// none.
func (w *writers) run() {
	defer w.work.done()
	// One for the whole life of the writer, not for each connection.
	r := rawWriters.Get().(*rawWriter)
	defer rawWriters.Put(r)
	b := newBatch()
	ended := false
	defer func() {
		batches.Put(b)
		// A hook has called runtime.Goexit: another goroutine is this writer from now on.
		if !ended {
			w.work.add()
			go w.run()
		}
	}()
	var last load // what it has written
	for n := 1; ; n++ {
		c := w.next(last)
		if c == nil {
			ended = true
			return
		}
		since := c.readySince
		var more bool
		b, more = w.serve(c, r, b)
		last = b.events
		if more {
			// What did not fit into a full batch has waited since then.
			if b.n < maxBatchFrames && b.events.bytes+b.asked.bytes < fullBatch.bytes/2 {
				since = time.Since(w.since)
			}
			w.mu.Lock()
			w.ready(c, since)
		}
		if n%yieldAfter == 0 {
			runtime.Gosched()
		}
	}
}

// serve writes once what c has queued. It returns the batch to use from then on,
// and whether there is more.
func (w *writers) serve(c *conn, r *rawWriter, b *batch) (*batch, bool) {
	if !c.take(b, fullBatch) {
		b.clear() // what it held before was counted before
		return b, false
	}
	// All frames of the batch in one buffer, hence one system call.
	p := b.joined()
	sent, err := r.write(c.raw, p)
	switch {
	case err != nil:
		c.wrote(b, err)
		c.finish(ErrClosed)
	// The socket's buffer is full: only a goroutine may wait for this client.
	case sent < len(p):
		w.work.add()
		c.setApart()
		c.giveBack(b, b.until(sent))
		// The batch belongs to that goroutine now; the writer goes on with another, and
		// with the buffer, of which a client that waits needs only a part.
		next := newBatch()
		next.buf, b.buf = b.buf, nil
		go c.writeRest(b, sent)
		return next, false
	default:
		return b, c.done(b)
	}
	return b, false
}

var rawWriters = sync.Pool{New: func() any { return newRawWriter() }}
