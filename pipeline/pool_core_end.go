package pipeline

// done ends a job that a worker has: err is nil, or that for which it has failed for good
// or was discarded.
func (c *core[J]) done(j *job[J], err error) {
	c.leave(j)
	j.err = err
	c.finish(j)
}

// bury ends a job that has failed for good with err. Its result may leave when stored was
// called. Others do not wait for it.
func (c *core[J]) bury(j *job[J], err error) {
	c.leave(j)
	j.err, j.state = err, jobBurying
	c.burying++
	c.hold(j)
	c.advance()
}

// stored ends the wait of a job for its dead letter.
func (c *core[J]) stored(j *job[J]) {
	c.burying--
	c.finish(j)
}

// back returns a job that a worker has taken and not tried. Several are returned in the
// reverse of their order, before the end of another job of the run is reported.
func (c *core[J]) back(j *job[J]) {
	c.running--
	c.queued++
	j.state = jobWaiting
	k := j.key
	if k == nil {
		c.again.pushFront(j)
		return
	}
	k.queue.pushFront(j)
	if !j.held {
		k.heldTo = nil
	}
	k.running--
	c.release(k)
}

// retry lets a job that has failed pause until the time due, for another attempt.
func (c *core[J]) retry(j *job[J], err error, due int64) {
	c.running--
	j.err, j.state, j.due = err, jobPausing, due
	if !j.troubled {
		j.troubled = true
		if c.troubled++; c.troubled == 1 && c.rules.ordered {
			c.holdDone()
		}
	}
	c.hold(j)
	if k := j.key; k != nil {
		c.queued -= k.queue.n
		k.queue.pushFront(j)
		if !j.held {
			k.heldTo = nil
		}
		k.running--
		k.pausing = true
		c.holdKey(k)
	}
	c.pauses.add(j)
}

// holdDone holds the results that cannot leave yet, when the first job has failed.
func (c *core[J]) holdDone() {
	for j := c.first; j != nil; j = j.after {
		if j.state == jobDone {
			c.hold(j)
		}
	}
}

// drop ends a job that a worker has without a result: the pool is being stopped.
func (c *core[J]) drop(j *job[J]) { c.running-- }

// leave takes a job out of its worker's hands, and lets the next one of its key run.
func (c *core[J]) leave(j *job[J]) {
	c.running--
	if j.troubled {
		c.troubled--
	}
	if k := j.key; k != nil {
		j.key = nil
		k.running--
		c.release(k)
	}
}

// release makes a key ready again when no job of it runs, or forgets it.
func (c *core[J]) release(k *jobKey[J]) {
	switch {
	case k.running > 0 || k.ready || k.pausing:
	case k.queue.n > 0:
		c.ready.push(k)
	default:
		delete(c.keys, k.name)
		k.name, k.next = "", c.spare
		c.spare = k
	}
}

// finish gives a job a result, which leaves now or when all before it have left.
func (c *core[J]) finish(j *job[J]) {
	j.state = jobDone
	switch {
	case !c.rules.ordered || !j.listed:
		c.result(j)
	case j == c.first:
		c.advance()
	case c.troubled > 0:
		c.hold(j)
	}
}

// advance lets the results at the front of a total order leave. Jobs that wait for their
// dead letter have nothing to emit, and nothing waits for them.
func (c *core[J]) advance() {
	if !c.rules.ordered {
		return
	}
	for j := c.first; j != nil; j = c.first {
		switch j.state {
		case jobDone:
			c.result(j)
		case jobBurying:
			c.unlist(j)
		default:
			return
		}
	}
}

// unlist takes a job out of the order of arrival.
func (c *core[J]) unlist(j *job[J]) {
	if !j.listed {
		return
	}
	j.listed = false
	if j.before == nil {
		c.first = j.after
	} else {
		j.before.after = j.after
	}
	if j.after == nil {
		c.last = j.before
	} else {
		j.after.before = j.before
	}
	j.before, j.after = nil, nil
}

// result lets a result leave, and its room be asked for again.
func (c *core[J]) result(j *job[J]) {
	c.unlist(j)
	c.unfinished--
	if j.held {
		c.held--
		j.held = false
	} else {
		j.account.credit += int(j.weight)
	}
	c.results.push(j)
}
