package pipeline

// crew counts the goroutines of a pool. Each of its own is idle, waking or busy.
type crew struct {
	size   int // all that belong to the pool
	idle   int // of them those that wait to be woken
	waking int // of them those that were woken and have not looked for a job yet
	stuck  int // left the pool with a job that has timed out, and have not returned yet
}

// call is how many goroutines to wake, and how many to start.
type call struct{ wake, start int }

// summon decides how many goroutines are woken for the jobs that wait. As long as jobs are
// quick one is woken at a time, which wakes the next when it has taken its own, so that
// events which one goroutine gets through alone do not cost a wake-up each.
func (c *core[J]) summon(now int64) call {
	w := &c.crew
	if c.paused || c.phase != coreWorking {
		return call{}
	}
	run := c.size.run()
	n := (c.runnable()+run-1)/run - w.waking
	if run > 1 {
		n = min(n, 1-w.waking)
	}
	n = min(n, c.rules.workers-(w.size-w.idle))
	if n <= 0 || c.rate.shut(now) {
		return call{}
	}
	wake := min(n, w.idle)
	w.idle -= wake
	w.waking += n
	w.size += n - wake
	return call{wake, n - wake}
}

// surplus is how many idle goroutines are woken to leave: all if the pool stops, and
// otherwise those above the number of workers.
func (c *core[J]) surplus() call {
	w := &c.crew
	n := w.idle
	if c.phase == coreWorking {
		n = min(n, max(0, w.size-c.rules.workers))
	}
	w.idle -= n
	w.waking += n
	return call{wake: n}
}

// order is what a goroutine without a job does.
type order uint8

const (
	orderRun order = iota
	orderPark
	orderLeave
)

// seek decides what a goroutine that has reported its last run does next. run is room for
// the jobs that it gets, of which there are n.
func (c *core[J]) seek(run []*job[J], now int64) (n int, do order) {
	w := &c.crew
	if c.phase != coreWorking || w.size > c.rules.workers {
		w.size--
		return 0, orderLeave
	}
	if n = c.take(run[:min(len(run), c.size.run())], now); n > 0 {
		return n, orderRun
	}
	w.idle++
	return 0, orderPark
}

// quiet reports whether a stopping pool has no goroutine any more.
func (c *core[J]) quiet() bool {
	return c.phase == coreStopping && c.crew.size+c.crew.stuck == 0
}

const (
	// maxRun bounds how many jobs a goroutine takes at once.
	maxRun = 64
	// runTime is how long a run of several jobs takes at most, in nanoseconds: long
	// compared with the lock, short compared with waking a goroutine for a job that could
	// run beside them.
	runTime = 16_000
)

// sizer decides how many jobs a goroutine takes at once, by the time that jobs take.
type sizer struct {
	known bool
	cost  int64 // nanoseconds of a job, averaged over runs; slow jobs count at once
}

// note takes the time of a run of n jobs.
func (s *sizer) note(n int, elapsed int64) {
	cost := elapsed / int64(n)
	if s.known && cost < s.cost {
		cost = (3*s.cost + cost) / 4
	}
	s.known, s.cost = true, cost
}

// quick reports whether jobs take so little time that they can run on the goroutine of
// the stage.
func (s *sizer) quick() bool { return s.known && s.cost < quickTime/2 }

// quickTime is how long, in nanoseconds, an event may take on the goroutine of a stage. It
// comes there when it takes no more than half as long.
const quickTime = 20_000

// run returns how many jobs to take at once, from 1 on.
func (s *sizer) run() int {
	if !s.known {
		return 1
	}
	return int(min(max(1, runTime/max(1, s.cost)), maxRun))
}
