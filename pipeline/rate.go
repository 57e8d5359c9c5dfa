package pipeline

import (
	"math"
	"time"
)

// rates is how the sources of a pipeline share its rate: how much of the demand for each
// is passed on to it, and when more of it. It has no clock, lock or goroutine; times are
// as those of a limiter.
//
// A source that was asked for events may have them at any later moment, or never. So the
// demand that it has is bounded by what may pass now, and an event counts when it is
// emitted. Two idle sources may each have been asked for the same burst: what they emit
// beyond it is owed, and made up for by a pause.
type rates struct {
	limiter // of all together
	valves  []*valveState
	turn    int // the valve that is served first
	// short is the time at which something was last held back, or never. What the rate
	// brings is handed out once in every tick then, not event by event.
	short int64
}

// valveState is what rates knows of one source.
type valveState struct {
	limiter      // of this source alone
	over    bool // it emits nothing more
	owed    int  // demand that was not passed on
	out     int  // demand that the source has, and has not emitted events for
	granted int  // of out: what its stage has not passed on yet
	// due is what the source has not emitted yet of the demand that it had at the time asked.
	due   int
	asked int64
}

// tick is the least time between two portions of what a rate brings, in nanoseconds.
const tick = int64(time.Millisecond)

// addOwed adds demand for a source.
func (v *valveState) addOwed(n int) { v.owed += n }

// wants reports whether there is demand that may be passed on.
func (v *valveState) wants() bool { return v.owed > 0 && !v.over }

// emitted counts n events that a source has emitted. Those that it was not asked for do
// not count: they are not limited.
//
// A source that has emitted within maxLateness all that it was asked for, while more demand
// is held back, is limited by the rate, also if it takes its time for each question and so
// never waits with none. What the rate brings meanwhile must not be lost.
func (r *rates) emitted(v *valveState, n int, now int64) {
	n = min(n, v.out)
	v.out -= n
	r.spend(now, n)
	v.spend(now, n)
	if n == 0 {
		return
	}
	if v.due -= n; v.due <= 0 {
		if v.wants() && now-v.asked <= maxLateness {
			r.state.served, v.state.served = now, now
		}
		v.due, v.asked = v.out, now
	}
}

// close ends a source, or its present life.
func (v *valveState) close() { v.over, v.owed, v.out, v.granted, v.due = true, 0, 0, 0, 0 }

// share grants what may pass now. It returns the time at which it is to be called again
// if nothing else happens before, or math.MaxInt64.
func (r *rates) share(now int64) (again int64) {
	if r.enough(now) || now >= r.short+tick {
		r.grant(now)
	}
	r.noteWaiting(now)
	again = math.MaxInt64
	for _, v := range r.valves {
		if v.wants() {
			at := max(r.nextOf(now, v.out+1), v.nextOf(now, v.out+1), r.short+tick)
			again = min(again, at)
		}
	}
	return again
}

// noteWaiting notes which sources wait for a rate. What a stage has not passed on to its
// source yet waits too: the stage may be late as well as a timer.
func (r *rates) noteWaiting(now int64) {
	any := false
	for _, v := range r.valves {
		waits := v.wants() && v.out == v.granted
		v.state.wait(waits, now)
		any = any || waits
	}
	r.state.wait(any, now)
}

// enough reports whether all demand can be passed on.
func (r *rates) enough(now int64) bool {
	free := r.free(now)
	for _, v := range r.valves {
		if v.wants() {
			if r.room(v, free, now) < v.owed {
				return false
			}
			free -= v.owed
		}
	}
	return true
}

// room returns how much demand may be passed on to a source of which free events may pass
// in all.
func (r *rates) room(v *valveState, free int, now int64) int {
	if !v.wants() {
		return 0
	}
	return max(min(v.owed, free-v.out, v.free(now)-v.out), 0)
}

// grant passes on demand, an equal part of what may pass to each source that has room. What
// one of them does not use is for the ones after it. The next time the source after the
// first one begins.
func (r *rates) grant(now int64) {
	free, takers, held := r.free(now), 0, false
	for _, v := range r.valves {
		if r.room(v, free, now) > 0 {
			takers++
		}
	}
	begin := r.turn
	for i := range r.valves {
		at := (begin + i) % len(r.valves)
		v := r.valves[at]
		if n := r.room(v, free, now); n > 0 {
			n = min(n, (free+takers-1)/takers)
			v.owed, v.out, v.granted = v.owed-n, v.out+n, v.granted+n
			free -= n
			if v.due == 0 {
				v.due, v.asked = v.out, now
			}
			if takers--; r.turn == begin {
				r.turn = (at + 1) % len(r.valves)
			}
		}
		held = held || v.wants()
	}
	if r.short = never; held {
		r.short = now
	}
}
