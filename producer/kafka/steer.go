package kafka

// turns are what the client is told about partitions between a poll and the
// rebalance that may follow it.
type turns struct {
	rewind []head // to be read again from these offsets
	pause  []topicPartition
	resume []topicPartition
}

// steer pauses partitions whose window is full, resumes those that have room again,
// and rewinds those whose abandoned records must be read again.
func (c *core) steer() (t turns) {
	if !c.steering || c.phase != running {
		return t
	}
	c.steering = false
	for _, part := range c.parts {
		if part.phase == rewinding && part.inFlight == 0 {
			// The replaced value is not in the map any more; ranging over it goes on with
			// the others.
			part = c.rewind(part)
			t.rewind = append(t.rewind, head{part: part, offset: part.tracker.head, epoch: -1})
		}
		switch {
		case c.mayResume(part):
			delete(c.paused, part.topicPartition)
			t.resume = append(t.resume, part.topicPartition)
		case part.tracker.window() >= c.window && !c.isPaused(part):
			c.paused[part.topicPartition] = struct{}{}
			t.pause = append(t.pause, part.topicPartition)
		}
	}
	return t
}

// rewind puts another value in the place of part, which begins at its finished
// prefix.
func (c *core) rewind(part *partition) *partition {
	next := c.replace(part.topicPartition)
	next.committed, next.highWater = part.committed, part.highWater
	next.tracker.head, next.tracker.headEpoch = part.tracker.head, part.tracker.headEpoch
	return next
}

// isPaused reports whether the client does not fetch the partition. That outlives an
// assignment, and so is kept by key.
func (c *core) isPaused(part *partition) bool {
	_, paused := c.paused[part.topicPartition]
	return paused
}

// stalled reports whether a partition is read no further before there are receipts.
func (c *core) stalled() bool {
	for _, part := range c.parts {
		if part.tracker.window() >= c.window || c.isPaused(part) && !c.mayResume(part) {
			return true
		}
	}
	return false
}

// mayResume reports whether a paused partition has room for more: at half of its
// window, since each pause costs the records that the client has fetched.
func (c *core) mayResume(part *partition) bool {
	return c.isPaused(part) && part.tracker.window() <= c.window/2
}
