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
	c.steerHeld(&t)
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
		case c.full(part) && !c.isPaused(part):
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
	next.committedAt = -int64(part.uncommitted())
	next.tracker.head, next.tracker.headEpoch = part.tracker.head, part.tracker.headEpoch
	return next
}

// isPaused reports whether the client does not fetch the partition. That outlives an
// assignment, and so is kept by key.
func (c *core) isPaused(part *partition) bool {
	_, paused := c.paused[part.topicPartition]
	return paused
}

// slack is how far below the window a partition is paused, and how much is polled at most
// when another one is that far: a poll may bring records of one partition only.
func (c *core) slack() int { return max(1, min(c.window/8, maxPoll)) }

// full reports whether a further poll could exceed the window of a partition.
func (c *core) full(part *partition) bool { return part.window() > c.window-c.slack() }

// room returns how many records may be polled at once, so that no partition exceeds its
// window whatever they are of.
func (c *core) room() int {
	most := 0
	for _, part := range c.parts {
		if part.phase == reading && !c.isPaused(part) {
			most = max(most, part.window())
		}
	}
	return max(c.slack(), c.window-most)
}

// stalled reports whether a partition is read no further before there are receipts. A
// commit alone makes no room then.
func (c *core) stalled() bool {
	for _, part := range c.parts {
		open := part.tracker.window()
		if open > c.window-c.slack() || c.isPaused(part) && open > c.window/2 {
			return true
		}
	}
	return false
}

// mayResume reports whether a paused partition has room for more: at half of its
// window, since each pause costs the records that the client has fetched.
func (c *core) mayResume(part *partition) bool {
	return c.isPaused(part) && !c.isHeld(part.topicPartition) && part.window() <= c.window/2
}
