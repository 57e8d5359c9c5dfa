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
	// rest counts the observations that were offered to slots.
	rest  atomic.Int64
	slots []atomic.Int64
}

// init makes room for that many observations in each window.
func (ws *windows) init(samples int) {
	ws.current.Store(&window{slots: make([]atomic.Int64, samples)})
	ws.spare = &window{slots: make([]atomic.Int64, samples)}
}

// observe adds v, which must not be negative.
func (ws *windows) observe(v int64) {
	for {
		w := ws.current.Load()
		w.writers.Add(1)
		// The second look after the registration makes the reader's wait safe:
		// either the reader sees this writer or this writer sees the new current
		// window.
		if ws.current.Load() == w {
			w.add(v)
			w.writers.Add(-1)
			return
		}
		w.writers.Add(-1)
	}
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
	room := int64(len(w.slots))
	at := w.rest.Add(1) - 1
	if at >= room {
		// Algorithm R: the n-th observation takes the place of a random one with
		// probability room/n, which keeps the sample uniform.
		if at = rand.Int64N(at + 1); at >= room {
			return
		}
	}
	w.slots[at].Store(v - 1)
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
	for i := range min(rest, int64(len(w.slots))) {
		iv.sample = append(iv.sample, w.slots[i].Load())
	}
	return iv
}
