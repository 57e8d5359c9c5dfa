package fair

import "github.com/penstock-go/penstock/internal/heap"

// Under MeasuredCost the members of a group are ordered by virtual start time
// (start-time fair queueing, Goyal, Vin & Cheng, SIGCOMM '96): a member's tag
// grows by the worker time it was given, divided by its weight, and the least
// tag is served next. A member that has been idle comes back with a tag that is
// Credits times CostUnit before the group's virtual time, not more: idle time is
// not saved up. A cost is known only afterwards, so the member's last cost is
// charged in advance and corrected by the receipt.

// costScale is the tag that a nanosecond adds at weight 1.
const costScale = maxWeight

// burst bounds how far a tag may be before the virtual time. It is in nanoseconds
// times costScale, like tags.
func (c *core) burst() int64 { return int64(c.credits) * c.unit * costScale }

// heapPush makes a member ready under MeasuredCost. Its tag is raised to at most
// burst before the group's virtual time, so idle time is not saved up.
func (c *core) heapPush(g *group, i uint32, s *slot) {
	times := c.timesOf(s)
	times.tag = max(times.tag, g.vtime-c.burst())
	s.where = whereHeaped
	g.heap.Push(heap.Entry[int64]{Key: times.tag, ID: i}, c.moved)
}

// heapRemove leaves the slot unlisted. s.prev is its position in the heap, kept by
// c.moved.
func (c *core) heapRemove(g *group, s *slot) {
	g.heap.Remove(int(s.prev), c.moved)
	s.where = whereUnlisted
}

// estimate returns the cost of the member's last event, in 1.024 µs, or the mean
// of all if it has had none. Under MeasuredCost the field credits holds that cost.
func (c *core) estimate(s *slot) int32 {
	if s.credits == 0 {
		return micros(c.mean)
	}
	return s.credits
}

// prepay charges a member that is served an estimate, and moves the group's
// virtual time on: to the member's tag, or, while members that were idle are
// served ahead of it, by the event's cost divided by the waiting members, so that
// a stream of ever new keys cannot stop the clock.
func (c *core) prepay(s *slot, estimate int32) {
	g, times := c.group(s.group), c.timesOf(s)
	cost := int64(estimate) << 10 * costScale
	if times.tag >= g.vtime {
		g.vtime = times.tag
	} else {
		g.vtime += cost / int64(max(freshRun, len(g.heap)))
	}
	times.tag += cost / c.weight(s)
	g.maxTag = max(g.maxTag, times.tag)
}

// repay replaces the estimate that prepay has charged by the real cost, in
// nanoseconds. It moves the member in the heap if it is ready.
func (c *core) repay(s *slot, estimate int32, cost int64) {
	real := micros(cost)
	s.credits = real
	g, times := c.group(s.group), c.timesOf(s)
	// After too high an estimate the tag goes back, by less than prepay has added.
	times.tag += (int64(real) - int64(estimate)) << 10 * costScale / c.weight(s)
	g.maxTag = max(g.maxTag, times.tag)
	if s.where == whereHeaped {
		at := int(s.prev)
		g.heap.Set(at, heap.Entry[int64]{Key: times.tag, ID: g.heap[at].ID}, c.moved)
	}
}

// micros converts a cost in nanoseconds to units of 1.024 µs (a shift instead of a
// division), at least one and at most 36 minutes.
func micros(cost int64) int32 {
	return int32(min(max(cost>>10, 1), 1<<31-1))
}

// weight returns the weight of the member's class, 1 to maxWeight.
func (c *core) weight(s *slot) int64 {
	return int64(c.weights[s.class])
}
