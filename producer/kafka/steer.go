package kafka

// turns are what the client is told about partitions between a poll and the
// rebalance that may follow it.
type turns struct {
	rewind []head // to be read again from these offsets
	pause  []topicPartition
	resume []topicPartition
}

// steer pauses partitions that the program holds, resumes paused ones that have room again, in
// window and queue, and rewinds those whose abandoned records must be read again.
func (c *core) steer() (t turns) {
	if !c.steering || c.phase != running {
		return t
	}
	c.steering = false
	c.steerHeld(&t)
	for _, part := range c.parts {
		if part.phase == rewinding && part.inFlight == 0 {
			// The replaced value is not in the map any more; ranging over it goes on with
			// the others.
			part = c.rewind(part)
			t.rewind = append(t.rewind, head{part: part, offset: part.tracker.head, epoch: -1})
		}
	}
	for key := range c.paused {
		if part := c.parts[key]; !c.isHeld(key) && (part == nil || !part.blocked && !part.early && c.short(part)) {
			delete(c.paused, key)
			t.resume = append(t.resume, key)
		}
	}
	return t
}

// stop notes the stuck partitions as paused, and returns them; if some were reopened also
// those that were paused before. Those of which the client has records that the pause would
// discard stay open until after the next poll.
func (c *core) stop() (pause []topicPartition) {
	for _, part := range c.queued {
		if c.stuck(part) && !c.isPaused(part) && !c.expects(part.topicPartition) {
			c.paused[part.topicPartition] = struct{}{}
			pause = append(pause, part.topicPartition)
		}
	}
	if !c.reopened {
		return pause
	}
	c.reopened, pause = false, pause[:0]
	for key := range c.paused {
		if c.expects(key) {
			c.reopened = true
		} else {
			pause = append(pause, key)
		}
	}
	return pause
}

// rewind puts another value in the place of part, which begins at its finished
// prefix.
func (c *core) rewind(part *partition) *partition {
	next := c.replace(part.topicPartition)
	next.committed, next.highWater = part.committed, part.highWater
	next.committedAt = -int64(part.uncommitted())
	v := c.view(part.topicPartition)
	v.begin, v.past = part.tracker.head, 0
	next.tracker.head, next.tracker.headEpoch = part.tracker.head, part.tracker.headEpoch
	return next
}

// isPaused reports whether the client does not fetch the partition. That outlives an
// assignment, and so is kept by key.
func (c *core) isPaused(part *partition) bool {
	_, paused := c.paused[part.topicPartition]
	return paused
}

// stalled reports whether a partition is read no further before there are receipts. A
// commit alone makes no room then.
func (c *core) stalled() bool {
	if c.ending > 0 {
		return true // what is gathered of a revoked partition is waited for
	}
	for _, part := range c.parts {
		if part.blocked && part.tracker.window() > c.low() {
			return true
		}
	}
	return false
}
