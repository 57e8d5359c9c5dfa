package kafka

import "time"

// delayed returns c with a delay.
func (c core) delayed(delay time.Duration) core {
	c.delay = delay
	return c
}

// due returns how many of the queued records of one poll are due. A record waits no longer
// than the delay after it has come to the front, so that a timestamp from a wrong clock
// stops its partition for that long only.
func (c *core) due(part *partition) int {
	first := part.queue.runs[0].records
	if c.delay == 0 {
		return len(first)
	}
	front := first[0]
	if part.dueAt.IsZero() || part.dueOf != front.Offset {
		part.dueOf = front.Offset
		part.dueAt = c.now.Add(min(c.delay, front.Timestamp.Add(c.delay).Sub(c.now)))
	}
	if part.dueAt.After(c.now) {
		part.early = true
		return 0
	}
	if part.early {
		part.early = false
		c.steering = c.steering || c.isPaused(part) && c.short(part)
	}
	n := 1
	for n < len(first) && !first[n].Timestamp.Add(c.delay).After(c.now) {
		n++
	}
	return n
}

// nextDue returns when the first of the partitions that wait for their time is due, zero
// if none waits.
func (c *core) nextDue() (at time.Time) {
	if c.delay == 0 {
		return at
	}
	for _, part := range c.queued {
		if part.early && part.phase == reading && (at.IsZero() || part.dueAt.Before(at)) {
			at = part.dueAt
		}
	}
	return at
}
