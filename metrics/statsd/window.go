package statsd

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
)

// windows collects durations without a lock. There are two windows: all writers
// write into the current one, and at the end of an interval the reader makes the
// other one current and reads the first.
type windows struct {
	current atomic.Pointer[window]
	spare   *window // the reader's
}

// window holds the observations of one interval: all of them while there is room,
// then a uniform sample (Vitter's algorithm R). The largest observation is kept
// apart from the sample.
type window struct {
	// writers is the number of goroutines inside add.
	writers atomic.Int64
	// max is the largest observation plus one, 0 for none.
	max atomic.Int64
	// rest counts the observations that were offered to the sample.
	rest atomic.Int64
	// room is the size of the sample. Its chunks are made when they are first needed:
	// a timer that is used rarely is small.
	room   int64
	chunks []atomic.Pointer[chunk]
}

// chunk is a part of a sample.
type chunk [chunkSize]atomic.Int64

const chunkSize = 256

func newWindow(samples int) *window {
	return &window{room: int64(samples), chunks: make([]atomic.Pointer[chunk], (samples+chunkSize-1)/chunkSize)}
}

// slot returns the place of an observation in the sample. Of two writers that make the same
// chunk one uses that of the other.
func (w *window) slot(at int64) *atomic.Int64 {
	p := &w.chunks[at/chunkSize]
	c := p.Load()
	if c == nil {
		c = new(chunk)
		if !p.CompareAndSwap(nil, c) {
			c = p.Load()
		}
	}
	return &c[at%chunkSize]
}

// init bounds the observations in each window.
func (ws *windows) init(samples int) {
	ws.current.Store(newWindow(samples))
	ws.spare = newWindow(samples)
}

// observe adds v, which must not be negative, if attached is set, and reports whether it
// was. It looks at attached as a registered writer, so that empty sees this writer if it
// was called after attached was cleared.
func (ws *windows) observe(v int64, attached *atomic.Bool) bool {
	for {
		w := ws.current.Load()
		w.writers.Add(1)
		// The second look after the registration makes the reader's wait safe:
		// either the reader sees this writer or this writer sees the new current
		// window.
		if ws.current.Load() == w {
			is := attached.Load()
			if is {
				w.add(v)
			}
			w.writers.Add(-1)
			return is
		}
		w.writers.Add(-1)
	}
}

// empty reports whether there is no observation, and no writer that could add one, in the
// current window. What is in the other one is being sent.
func (ws *windows) empty() bool {
	w := ws.current.Load()
	return w.writers.Load() == 0 && w.max.Load() == 0
}

// add adds an observation, from a registered writer. Observations are stored plus
// one, so that 0 is none.
func (w *window) add(v int64) {
	v++
	for {
		old := w.max.Load()
		if v <= old {
			break
		}
		if w.max.CompareAndSwap(old, v) {
			v = old // the former largest is an ordinary observation now
			break
		}
	}
	if v == 0 {
		return // it was the first
	}
	room := w.room
	at := w.rest.Add(1) - 1
	if at >= room {
		// Algorithm R: the n-th observation takes the place of a random one with
		// probability room/n, which keeps the sample uniform.
		if at = rand.Int64N(at + 1); at >= room {
			return
		}
	}
	w.slot(at).Store(v - 1)
}

// interval holds the observations between two turns.
type interval struct {
	// count is the number of observations and max the largest of them.
	count, max int64
	// sample are observations other than max: all of them, or a uniform sample.
	sample []int64
}

// turn begins a new interval and returns the one that has ended, with the sample
// in buf. There is one reader. It waits for writers in the middle of an
// observation, some nanoseconds.
func (ws *windows) turn(buf []int64) interval {
	w := ws.current.Load()
	if w.max.Load() == 0 {
		return interval{} // a running write belongs to the next
	}
	ws.current.Store(ws.spare)
	ws.spare = w
	for w.writers.Load() != 0 {
		runtime.Gosched()
	}
	rest := w.rest.Swap(0)
	iv := interval{count: rest + 1, max: w.max.Swap(0) - 1, sample: buf[:0]}
	for i := range min(rest, w.room) {
		iv.sample = append(iv.sample, w.slot(i).Load())
	}
	return iv
}
