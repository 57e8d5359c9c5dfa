package kafka

// A pause discards what the client has of a partition, and it is fetched again later. So a
// partition that has no room stays open while the client has records of it, until its queue
// has as much as memory allows. What the client fetches meanwhile is one batch at a time:
// see narrow.

// awaited is how many responses with records of a partition the client has.
type awaited struct {
	responses int
	empty     int // polls since, after which the client had no records at all
}

// forgetAfter is the number of polls in a row that find the client empty, after which a
// response counts as discarded: a rebalance may do that, or all of its records were aborted.
const forgetAfter = 3

// arrive notes that the client is about to keep a response with records of a partition, and
// reports whether the partition is paused and has room for them: then the client is to
// resume it, since the next poll would discard them. It is paused again after that poll.
func (c *core) arrive(key topicPartition) (reopen bool) {
	// The client fetches when a poll has taken the last response, which may not be noted yet.
	c.coming[key] = awaited{responses: min(2, c.coming[key].responses+1)}
	if _, paused := c.paused[key]; !paused || !c.roomFor(key) {
		return false
	}
	c.reopened = true
	return true
}

// collect notes responses as polled, by their partitions. narrowed reports whether the client
// fetched single batches from the beginning of the poll on, empty whether it has no records left.
func (c *core) collect(keys []topicPartition, narrowed, empty bool) {
	for _, key := range keys {
		if narrowed {
			c.single[key] = true // this was taken before the next one was asked for
		}
		if a := c.coming[key]; a.responses > 1 {
			c.coming[key] = awaited{responses: a.responses - 1}
		} else {
			delete(c.coming, key)
		}
	}
	if !empty {
		return
	}
	for key, a := range c.coming {
		if a.empty++; a.empty < forgetAfter {
			c.coming[key] = a
		} else {
			delete(c.coming, key)
		}
	}
}

// expects reports whether the next poll is to take records of a partition from the client.
func (c *core) expects(key topicPartition) bool {
	return c.coming[key].responses > 0 && !c.isHeld(key) && c.roomFor(key)
}

// roomFor reports whether the queue of a partition may take another response. A whole one may
// be as large as most, so that twice that is not exceeded, by more than a batch, in either case.
func (c *core) roomFor(key topicPartition) bool {
	part, most := c.parts[key], c.most
	if c.single[key] {
		most *= 2
	}
	return part != nil && part.phase == reading && part.queue.bytes() < most
}

// short reports whether the queue of a paused partition has room for a whole response.
func (c *core) short(part *partition) bool { return c.most == 0 || part.queue.bytes() < c.most }

// narrow has the client fetch a single batch at a time while it may fetch partitions that have
// no room, and reports whether that is a change: it fetches again before a poll has returned,
// and so before they can be paused. widen ends it.
func (c *core) narrow() (changed bool) {
	changed = !c.narrowed && (c.reopened || c.choked())
	c.narrowed = c.narrowed || changed
	return changed
}

// widen is called after a poll, and reports whether whole responses are fetched again.
func (c *core) widen() (changed bool) {
	if !c.narrowed || c.reopened || c.choked() {
		return false
	}
	c.narrowed = false
	clear(c.single)
	return true
}
