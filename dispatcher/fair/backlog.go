package fair

import "math/bits"

// busier counts a key of a group whose queue has its first event, and notes the
// tenant with the most such keys.
func (c *core) busier(group uint32) {
	c.backlog++
	g := c.group(group)
	if g.backlog++; g.owner == 0 {
		return
	}
	if g.backlog == 1 && !c.measured {
		c.settle(c.slots.at(g.owner))
	}
	if c.crowd == 0 || g.backlog > c.group(c.crowd).backlog {
		c.crowd = group
	}
}

// quieter counts a key of a group whose queue has become empty. When there is no
// other, no key of the group has delayed another and all get their credits back:
// the rounds jump ahead, which settle counts when it comes to each key.
func (c *core) quieter(group uint32) {
	c.backlog--
	g := c.group(group)
	if g.backlog--; g.backlog > 0 {
		return
	}
	if c.measured {
		g.vtime = max(g.vtime, g.maxTag+c.burst())
		return
	}
	for i := range uint8(c.nclass) {
		c.class(group, i).round += uint32(c.credits)
	}
}

// crowded returns a ready key of the tenant with the most waiting keys, if
// possible the one that came last. It returns 0 if the given group has as many
// keys or there is no such tenant. c.crowd may be out of date by the keys that
// were served since, so the numbers are compared again.
func (c *core) crowded(group uint32) uint32 {
	if c.crowd == 0 || c.crowd == group {
		return 0
	}
	g := c.group(c.crowd)
	if g.ready == 0 || g.backlog <= c.group(group).backlog {
		return 0
	}
	if c.measured {
		return g.heap[len(g.heap)-1].ID
	}
	if g.fresh != 0 {
		return c.level(c.crowd, 2*int32(bits.Len64(g.fresh))).tail
	}
	for class := range uint8(c.nclass) {
		if last := c.class(c.crowd, class).old.tail; last != 0 {
			return last
		}
	}
	return 0
}
