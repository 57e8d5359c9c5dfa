package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// queue is the records of a partition that were polled and not decoded, in order. It keeps
// the client's slices as they came. It belongs to the core.
type queue struct {
	runs []stretch
	n    int // records
}

// stretch is the records of one poll that are left, at least one.
type stretch struct {
	records []*kgo.Record
	// size is what they take in memory, by sizeOf, or 0 if they were not counted yet.
	size int
}

// bytes returns what the records take in memory, about. It is asked for while a partition is
// paused; otherwise no record is looked at for it.
func (q *queue) bytes() (n int) {
	for i := range q.runs {
		run := &q.runs[i]
		if run.size == 0 {
			for _, r := range run.records {
				run.size += sizeOf(r)
			}
		}
		n += run.size
	}
	return n
}

// recordBytes is what a record takes in memory beside its key, value and headers: the
// client's struct, and the pointer to it.
const recordBytes = 240

// sizeOf returns what a record takes in memory, about.
func sizeOf(r *kgo.Record) int {
	n := recordBytes + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += 40 + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// enqueue puts polled records behind those that part has.
func (c *core) enqueue(part *partition, more queue) {
	if more.n == 0 {
		return
	}
	if part.queue.n == 0 {
		c.queued = append(c.queued, part)
	}
	part.queue.runs = append(part.queue.runs, more.runs...)
	part.queue.n += more.n
	last := more.runs[len(more.runs)-1].records
	part.polled = last[len(last)-1].Offset + 1
}

// pick takes up to limit queued records of one partition that has room in its window, to
// be decoded and given to take; at most as many as there is demand for. The partitions
// take turns. It returns nil if there are none.
func (c *core) pick(limit int) (*partition, []*kgo.Record) {
	n := min(limit, c.owed-c.waiting)
	if n <= 0 || c.phase != running {
		return nil, nil
	}
	for i := 0; i < len(c.queued); i++ {
		part := c.queued[i]
		if part.phase != reading || part.queue.n == 0 {
			c.queued = append(c.queued[:i], c.queued[i+1:]...)
			i--
			continue
		}
		due := c.due(part)
		if part.blocked || due == 0 || c.isHeld(part.topicPartition) {
			continue
		}
		records := part.queue.take(min(n, c.window-part.window(), due))
		c.queued = append(c.queued[:i], c.queued[i+1:]...)
		if part.queue.n > 0 {
			c.queued = append(c.queued, part)
		}
		if c.isPaused(part) && c.short(part) {
			c.steering = true
		}
		return part, records
	}
	return nil, nil
}

// giveBack puts records that pick has taken back to the front.
func (c *core) giveBack(part *partition, records []*kgo.Record) {
	if len(records) == 0 || part.phase != reading || c.phase != running {
		return
	}
	if part.queue.n == 0 {
		c.queued = append(c.queued, part)
	}
	part.queue.runs = append([]stretch{{records: records}}, part.queue.runs...)
	part.queue.n += len(records)
}

// choked reports whether a partition with queued records waits for room, and is still
// being fetched.
func (c *core) choked() bool {
	for _, part := range c.queued {
		if c.stuck(part) && !c.isPaused(part) {
			return true
		}
	}
	return false
}

// stuck reports whether part has records for which its window has no room, or that are
// not due.
func (c *core) stuck(part *partition) bool {
	return part.phase == reading && (part.blocked || part.early) && part.queue.n > 0
}

// add appends polled records.
func (q *queue) add(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	q.runs = append(q.runs, stretch{records: records})
	q.n += len(records)
}

// take removes the first records, up to n, and returns them: those of one poll at most.
func (q *queue) take(n int) []*kgo.Record {
	first := q.runs[0].records
	n = min(n, len(first))
	if n == len(first) {
		q.runs[0] = stretch{}
		q.runs = q.runs[1:]
	} else {
		size := q.runs[0].size
		for i := 0; i < n && size > 0; i++ {
			size -= sizeOf(first[i])
		}
		q.runs[0] = stretch{records: first[n:], size: size}
	}
	q.n -= n
	return first[:n:n]
}
