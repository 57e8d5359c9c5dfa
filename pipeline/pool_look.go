package pipeline

import "time"

// lookEvery is the time between looks for runs that take long, in nanoseconds.
const lookEvery = int64(2 * time.Millisecond)

// look gives the jobs back that wait behind a slow one in a run, so that another worker
// can have them. It is called with the lock held.
func (p *pool[J]) look(now int64) {
	p.lookAt = noTime
	for _, w := range p.crew {
		v := w.span.Load()
		begun, end := int(v>>32), int(uint32(v))
		if !w.busy || begun >= end {
			continue
		}
		if w.seen != w.round {
			w.seen = w.round
			p.lookAt = now + lookEvery
			continue
		}
		p.core.size.note(1, now-w.begun)
		for !w.span.CompareAndSwap(v, uint64(begun)<<32|uint64(begun)) {
			v = w.span.Load()
			begun = int(v >> 32)
			if begun >= end {
				begun = end
				break
			}
		}
		for i := end - 1; i >= begun; i-- {
			p.core.back(w.run[i])
		}
		clear(w.run[begun:end])
	}
}
