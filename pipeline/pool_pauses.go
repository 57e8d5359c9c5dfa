package pipeline

import "time"

// pauses are the jobs that pause, as a heap: the one that is due first is at the front.
// Their times are beside each other in memory, since an outage may make a hundred thousand
// jobs pause again and again.
type pauses[J any] []pausing[J]

// pausing is a job with the end of its pause.
type pausing[J any] struct {
	due int64
	seq uint64
	job *job[J]
}

// before reports whether p ends first.
func (p pausing[J]) before(other pausing[J]) bool {
	return p.due < other.due || p.due == other.due && p.seq < other.seq
}

// arity is the number of children of a place in the heap: four of them are in few cache
// lines, and make the heap half as deep as two.
const arity = 4

func (p *pauses[J]) add(j *job[J]) {
	added := pausing[J]{j.due, j.seq, j}
	h := append(*p, added)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if !added.before(h[parent]) {
			break
		}
		h[i], i = h[parent], parent
	}
	h[i] = added
	*p = h
}

func (p *pauses[J]) pop() *job[J] {
	h := *p
	first := h[0].job
	last := len(h) - 1
	moved := h[last]
	h[last] = pausing[J]{}
	h = h[:last]
	*p = h
	i := 0
	for {
		child := i*arity + 1
		if child >= last {
			break
		}
		for c := child + 1; c < min(child+arity, last); c++ {
			if h[c].before(h[child]) {
				child = c
			}
		}
		if !h[child].before(moved) {
			break
		}
		h[i], i = h[child], child
	}
	if last > 0 {
		h[i] = moved
	}
	return first
}

const (
	// crowd is the number of pauses beyond which they end in groups, so that an outage
	// does not cost a timer and a wake-up for each of them.
	crowd = 256
	// crowdTick is the time between two groups, in nanoseconds.
	crowdTick = int64(time.Millisecond)
)

// next returns when the first pause ends, or the first group of many; noTime if there is
// none. ticked is when pauses were ended last.
func (p pauses[J]) next(ticked int64) int64 {
	switch {
	case len(p) == 0:
		return noTime
	case len(p) > crowd:
		return max(p[0].due, ticked+crowdTick)
	}
	return p[0].due
}
