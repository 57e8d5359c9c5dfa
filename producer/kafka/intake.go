package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/receipt"
)

// demand adds n events to what is owed. The poller looks if that is what it waits for:
// behind a dispatcher that reads ahead there is demand for more with every few events,
// while the poller waits for room or for records.
func (c *core) demand(n int) orders {
	waits := c.owed <= c.waiting
	c.owed += n
	return orders{look: waits}
}

// poll returns the number of records that are asked for and not there; 0 means that the
// poller waits. With steering set, partitions need attention before that.
func (c *core) poll() (n int, steering bool) {
	if c.phase != running {
		return 0, false
	}
	return max(0, c.owed-c.waiting), c.steering
}

// open returns the partition that polled records belong to, or nil if they are not
// taken: then they are read again, here or by another member.
func (c *core) open(key topicPartition, highWater int64) *partition {
	part := c.parts[key]
	if part == nil || part.phase != reading || c.phase != running {
		return nil
	}
	part.highWater = highWater
	return part
}

// take takes the next record of a partition, and returns the value that it is
// tracked under. A poison record is tracked but not emitted.
func (c *core) take(part *partition, offset int64, leaderEpoch int32, poison bool) *partition {
	// The group begins here: everything below counts as committed.
	if part.committed == unknown {
		part.committed = offset
	}
	if !part.tracker.add(offset, leaderEpoch) {
		// The broker has lost records and the client went back: these are other
		// records, although their offsets have been seen before.
		// What is queued was polled after them.
		highWater, rest := part.highWater, part.queue
		part = c.replace(part.topicPartition)
		part.committed, part.highWater = offset, highWater
		c.enqueue(part, rest)
		part.tracker.add(offset, leaderEpoch)
	}
	c.records++
	if part.window() >= c.window {
		part.blocked = true
	}
	if poison {
		return part
	}
	c.waiting++
	next := span{part, offset, 1}
	if last := len(c.ready) - 1; last < 0 || !c.ready[last].extend(next) {
		c.ready = append(c.ready, next)
	}
	return part
}

// takeMore takes the n records after the last one taken, which was no poison: following has
// counted them.
func (c *core) takeMore(part *partition, n int) {
	if n == 0 {
		return
	}
	part.tracker.addMore(n)
	c.records += int64(n)
	c.waiting += n
	c.ready[len(c.ready)-1].n += n
	if part.window() >= c.window {
		part.blocked = true
	}
}

// following returns how many records continue the first one without a gap, under its leader
// epoch, and are no control records; up to limit.
func following(records []*kgo.Record, limit int) (n int) {
	offset, epoch := records[0].Offset, records[0].LeaderEpoch
	for _, r := range records[1:min(limit+1, len(records))] {
		if r.Offset != offset+int64(n)+1 || r.LeaderEpoch != epoch || r.Attrs.IsControl() {
			break
		}
		n++
	}
	return n
}

// emit takes the ready events. For each span, in order, it calls f with the number of
// events and whether they are emitted; the others are read again, here or by another
// member, and are owed again. f must not use the core. Emitted events are in flight until
// receive has their receipt.
func (c *core) emit(f func(n int, emitted bool)) (do orders) {
	for _, s := range c.ready {
		if s.part.phase != reading {
			// Its partition was lost, revoked or is to be rewound.
			f(s.n, false)
			do.look = true
			continue
		}
		f(s.n, true)
		c.flights.push(s)
		s.part.inFlight += s.n
		c.owed -= s.n
	}
	clear(c.ready)
	c.ready, c.waiting = c.ready[:0], 0
	return do
}

// receive takes the receipt of the count events from number first on, which may be of
// several partitions. Abandoned and withdrawn events are not finished: their partition is read again
// from its finished prefix, once nothing of it is in flight. The receipts of a partition
// that was lost or replaced change nothing that is committed.
func (c *core) receive(first uint64, count int, outcome receipt.Outcome) (do orders) {
	for at, end := first, first+uint64(count); at < end; {
		var s span
		if s, at = c.flights.land(at, end); s.n == 0 {
			break // known already, or of no event
		}
		if outcome == receipt.Abandoned || outcome == receipt.Withdrawn {
			if outcome == receipt.Withdrawn {
				c.withdrawn += int64(s.n)
			} else {
				c.abandoned += int64(s.n)
			}
			if s.part.phase == reading {
				s.part.phase = rewinding
				s.part.queue = queue{} // these are read again too
			}
		} else {
			// What the partition is committed up to is unfinished.
			if s.offset > s.part.tracker.head {
				c.disordered = true
			} else if s.n < s.part.inFlight {
				c.inOrder += s.n
			}
			s.part.tracker.finishRun(s.offset, s.n)
		}
		// A revoked partition waits in await for this.
		if s.part.inFlight -= s.n; s.part.inFlight == 0 && s.part.phase == leaving {
			c.ending--
			do.settled = c.ending == 0
		}
		do = do.and(c.after(s.part))
	}
	return do
}

// orderly reports whether the n events in flight can be taken to end in the order of their
// partitions: as many have, at least a thousand, and none has not. An event that was alone in
// flight shows nothing.
func (c *core) orderly(n int) bool { return !c.disordered && c.inOrder >= max(n, 1000) }

// dispose finishes a poison record.
func (c *core) dispose(part *partition, offset int64) orders {
	part.tracker.finishRun(offset, 1)
	return c.after(part)
}

// low is the window at which a partition whose window was full is read on: an eighth of
// room, so that records are not picked one by one, and events that wait long and leave no
// more room than that hold up no others.
func (c *core) low() int { return c.window - max(1, c.window/8) }

// after has the poller look after part if it may go on: to be read again, or since its
// window has room again. now ends a poll that waits for records of other partitions.
func (c *core) after(part *partition) (do orders) {
	switch {
	case part.phase == rewinding && part.inFlight == 0:
		c.steering = true
		do.look, do.now = true, true
	case part.phase == reading && part.blocked && part.window() <= c.low():
		part.blocked = false
		c.steering = c.steering || c.isPaused(part) && c.short(part)
		do.look, do.now = true, true
	}
	do.commit = part.phase == reading && part.uncommitted() >= max(1, c.window/4)
	return do
}

// and joins the orders of two steps.
func (do orders) and(more orders) orders {
	return orders{do.look || more.look, do.now || more.now, do.settled || more.settled, do.commit || more.commit}
}
