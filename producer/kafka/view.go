package kafka

import "time"

// view is what is known of a partition at its broker, beside what was polled of it. There
// is one from an assignment to its end. It belongs to the core.
type view struct {
	begin  int64 // where the group begins: what it has committed; unknown: at a position of Start
	oldest int64 // the first record that the broker has; unknown before it was asked
	end    int64 // the offset after the newest record that can be read; unknown before
	past   int64 // up to here is nothing that can be polled, though the tracker has not come here

	// While records are there that were asked for and none of them comes.
	since   time.Time // when that was seen first; zero: they come, or there are none
	from    int64     // the position then
	records int64     // core.records then
	probed  time.Time // when the broker was asked for them last
	suspect bool      // the client has reported an error: ask soon

	bad     *badBatch // the batch at which reading waits
	skip    bool      // go on after it
	stopped bool      // do not
}

func newView() *view { return &view{begin: unknown, oldest: unknown, end: unknown} }

// view returns the view of a partition that this member has, and makes it if necessary.
func (c *core) view(key topicPartition) *view {
	v := c.views[key]
	if v == nil {
		v = newView()
		c.views[key] = v
	}
	return v
}

// position is the offset of the next record to poll, or unknown.
func (c *core) position(part *partition) int64 {
	v := c.view(part.topicPartition)
	at := v.begin
	switch {
	case part.polled > 0:
		at = part.polled
	case at == unknown && !c.byTime:
		at = v.oldest
	}
	if at == unknown {
		return unknown
	}
	return max(at, v.past)
}

// lag is the number of offsets between the finished prefix and the newest record, 0 as
// long as it is not known.
func (c *core) lag(part *partition) int64 {
	end := c.end(part)
	head := part.tracker.head
	// Without an unfinished record there may be others that are never polled: those of
	// transactions' ends.
	if part.tracker.open == 0 {
		head = c.position(part)
	}
	if head == unknown || end == unknown {
		return 0
	}
	return max(0, end-head)
}

// end is the offset after the newest record of a partition that can be read, or unknown.
func (c *core) end(part *partition) int64 {
	end := c.view(part.topicPartition).end
	// What was polled last is newer, but has the records of transactions that are open.
	if !c.committedOnly && part.tracker.started {
		end = max(end, part.highWater)
	}
	return end
}

// observe notes the first and the last offset of a partition at its broker.
func (c *core) observe(key topicPartition, oldest, end int64) {
	v := c.view(key)
	v.oldest, v.end = oldest, end
}

// reset notes that the broker does not have the next record any more: the client continues
// at the oldest one, or somewhere behind it.
func (c *core) reset(key topicPartition, behind bool) {
	v := c.view(key)
	v.past = max(v.past, v.oldest)
	if behind {
		v.past = max(v.past, v.end)
	}
}

// query is a partition whose broker is to be asked for records from an offset on.
type query struct {
	topicPartition
	offset int64
}

// overdue returns the partitions whose records were asked for and do not come, at most max
// of them, those of which the client has reported errors among them; and of those that have
// been so for long, without a record of any other partition, the places.
func (c *core) overdue(now time.Time, most int) (ask []query, silent []topicPartition) {
	for key, part := range c.parts {
		v := c.view(key)
		at := c.position(part)
		wanted := c.phase == running && c.owed > c.waiting && part.phase == reading && part.queue.n == 0 && !part.blocked && !c.isPaused(part)
		if at == unknown || !wanted && !v.suspect || at >= v.end && v.end != unknown && !v.suspect {
			v.since = time.Time{}
			continue
		}
		if v.since.IsZero() || at != v.from {
			v.since, v.from, v.records, v.probed = now, at, c.records, time.Time{}
			if !v.suspect {
				continue
			}
		}
		waits := now.Sub(v.since)
		// A partition may wait for its turn among others, which is no reason to ask often.
		// What was asked for a moment ago may be under way, and would be fetched twice.
		if v.suspect || v.bad != nil || waits >= lookAgain && now.Sub(v.probed) >= logEvery {
			if len(ask) < most {
				v.probed, v.suspect = now, false
				ask = append(ask, query{key, at})
			}
		}
		if wanted && v.bad == nil && waits >= logEvery && v.records == c.records {
			silent = append(silent, key)
		}
	}
	return ask, silent
}

// arrived notes that records of a partition were polled.
func (c *core) arrived(key topicPartition) {
	if v := c.view(key); v.bad != nil || v.suspect || !v.since.IsZero() {
		v.bad, v.suspect, v.skip, v.stopped, v.since = nil, false, false, false, time.Time{}
	}
}
