package pipeline

import "math"

// core decides what a pool does: which jobs run next and how many goroutines are woken for
// them, what follows from the end of an attempt, and which results may leave.
//
// It has no lock, goroutine, clock or channel: the pool holds its lock during every call.
// Times are nanoseconds since the start of the pool.
type core[J any] struct {
	rules  coreRules
	phase  corePhase
	paused bool
	rate   throttle[J]

	// Jobs that no worker has are in again, in waiting or in the queue of their key.
	again   jobList[J] // those whose pause is over: before the waiting ones
	waiting jobList[J]
	keys    map[string]*jobKey[J]
	ready   keyList[J] // the keys of which a worker may take jobs
	spare   *jobKey[J] // keys that are not in use, linked by next
	pauses  pauses[J]
	ticked  int64 // when pauses were ended last
	// first and last are the ends of the jobs in their order of arrival. With a total
	// order a result leaves when it is first.
	first, last *job[J]
	results     jobList[J] // what may leave
	seq         uint64

	// Counts of jobs.
	unfinished int // added, and not among the results
	queued     int // of them those that no worker has and that do not pause
	running    int
	burying    int
	held       int // unfinished ones that do not count against the window
	troubled   int // unfinished ones that have failed before

	crew crew
	size sizer
}

// coreRules are what a core decides by. Workers may change while it runs.
type coreRules struct {
	workers int
	maxHeld int
	ordered bool // results leave in the order of arrival
	keyed   bool // one job of a key at a time, in order
}

// corePhase is how far the life of a pool has come.
type corePhase uint8

const (
	coreWorking  corePhase = iota
	coreStopping           // no job is begun, and goroutines leave
)

// noTime is a time that does not come.
const noTime = math.MaxInt64

// add takes a job. Its data, account, weight and time of arrival are set.
func (c *core[J]) add(j *job[J], key string) {
	c.seq++
	j.seq, j.state, j.attempt = c.seq, jobWaiting, 1
	j.listed, j.before = true, c.last
	if c.last == nil {
		c.first = j
	} else {
		c.last.after = j
	}
	c.last = j
	c.unfinished++
	c.queued++
	if !c.rules.keyed {
		c.waiting.push(j)
		return
	}
	k := c.key(key)
	j.key = k
	k.queue.push(j)
	switch {
	case k.pausing:
		c.queued--
		c.hold(j)
	case !k.ready && k.running == 0:
		c.ready.push(k)
	}
}

// key returns what is known of a key, a new one if nothing is.
func (c *core[J]) key(name string) *jobKey[J] {
	if k := c.keys[name]; k != nil {
		return k
	}
	k := c.spare
	if k == nil {
		k = new(jobKey[J])
	} else {
		c.spare, k.next = k.next, nil
	}
	k.name = name
	if c.keys == nil {
		c.keys = make(map[string]*jobKey[J])
	}
	c.keys[name] = k
	return k
}

// hold lets a job not count against the window, unless too many do not already.
func (c *core[J]) hold(j *job[J]) {
	if j.held || c.held >= c.rules.maxHeld {
		return
	}
	j.held = true
	c.held++
	j.account.credit += int(j.weight)
}

// holdKey holds the jobs of a key that pauses. Those at the front that are held already
// are passed over: a key with a rate pauses after each of its jobs.
func (c *core[J]) holdKey(k *jobKey[J]) {
	j := k.queue.first
	if k.heldTo != nil {
		j = k.heldTo.next
	}
	for ; j != nil && c.held < c.rules.maxHeld; j = j.next {
		c.hold(j)
		k.heldTo = j
	}
}

// take gives a worker up to len(run) jobs, which it runs one after the other, and returns
// their number.
func (c *core[J]) take(run []*job[J], now int64) (n int) {
	if c.paused || c.phase != coreWorking || c.rate.shut(now) {
		return 0
	}
	if c.rules.keyed {
		n = c.takeKeys(run, now)
	} else {
		allowed := c.rate.allow(now, min(len(run), c.again.n+c.waiting.n))
		for n = 0; n < allowed; n++ {
			l := &c.waiting
			if c.again.n > 0 {
				l = &c.again
			}
			run[n] = l.pop()
		}
	}
	for _, j := range run[:n] {
		j.state = jobRunning
	}
	c.running += n
	c.queued -= n
	return n
}

// grab takes the newest of the jobs that wait, of a core without keys.
func (c *core[J]) grab() *job[J] {
	l := &c.waiting
	j := l.last
	if l.first == j {
		l.first, l.last = nil, nil
	} else {
		before := l.first
		for before.next != j {
			before = before.next
		}
		before.next, l.last = nil, before
	}
	l.n--
	j.state = jobRunning
	c.running++
	c.queued--
	return j
}

// takeKeys is take for jobs with keys: of each key that is ready its share, so that few
// keys fill a run as well. A key whose rate is used up pauses.
func (c *core[J]) takeKeys(run []*job[J], now int64) (n int) {
	share := max(1, len(run)/max(1, c.ready.n))
	for n < len(run) && c.ready.n > 0 {
		k := c.ready.first
		of := min(share, k.queue.n, len(run)-n)
		allowed := c.rate.allowKey(now, k.name, of)
		if allowed == 0 && c.rate.shut(now) {
			return n
		}
		c.ready.pop()
		for range allowed {
			run[n] = k.queue.pop()
			if run[n] == k.heldTo {
				k.heldTo = nil
			}
			n++
		}
		k.running = allowed
		if allowed == 0 {
			c.delay(k, max(now, c.rate.nextKey(now, k.name)))
		}
	}
	return n
}

// delay lets a key without a running job pause until the time at.
func (c *core[J]) delay(k *jobKey[J], at int64) {
	c.queued -= k.queue.n
	k.pausing = true
	j := k.queue.first
	j.state, j.due = jobPausing, at
	c.pauses.add(j)
	c.holdKey(k)
}

// tick ends the pauses that are over.
func (c *core[J]) tick(now int64) {
	c.ticked = now
	for len(c.pauses) > 0 && c.pauses[0].due <= now {
		j := c.pauses.pop()
		j.state = jobWaiting
		if k := j.key; k != nil {
			k.pausing = false
			c.queued += k.queue.n
			c.ready.push(k)
			continue
		}
		c.queued++
		c.again.push(j)
	}
}

// due returns when tick is to be called, or work is to be looked for again; noTime if
// that is not necessary.
func (c *core[J]) due(now int64) int64 {
	at := c.pauses.next(c.ticked)
	if c.runnable() > 0 && !c.paused && c.rate.shut(now) {
		at = min(at, c.rate.opens)
	}
	return at
}

// runnable returns how many workers could be given something, if the rate allows it.
func (c *core[J]) runnable() int {
	if c.rules.keyed {
		return c.ready.n
	}
	return c.again.n + c.waiting.n
}

// stop begins the end: no job is begun any more.
func (c *core[J]) stop() { c.phase = coreStopping }
