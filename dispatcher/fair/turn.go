package fair

import "math/bits"

// list makes an unlisted slot ready to be served: in the heap, in the level of its
// credits, or in the ring of its class. It wakes the tenant if this is its first
// ready key. Call place, which decides whether a key may be served at all, unless
// the slot is a tenant's.
func (c *core) list(i uint32, s *slot) {
	g := c.group(s.group)
	switch {
	case c.measured:
		c.heapPush(g, i, s)
	case s.credits > 0:
		c.push(c.level(s.group, s.credits), i, s, whereFresh)
		g.fresh |= 1 << ((s.credits - 1) / 2)
	default:
		k := c.class(s.group, s.class)
		if k.n == 0 && int64(k.pass-g.virtual) < 0 {
			k.pass = g.virtual // nothing is saved up while away
		}
		k.n++
		g.waiting++
		if c.nclass > 1 {
			c.share(g, k, s.class, 1)
		}
		c.push(&k.old, i, s, whereOld)
	}
	g.ready++
	if g.ready == 1 && g.owner != 0 {
		c.wake(g.owner, c.slots.at(g.owner))
	}
}

// wake lists the slot of a tenant that has a ready key again. A tenant that is
// listed already stays where it is.
func (c *core) wake(i uint32, s *slot) {
	switch s.where {
	case whereGhost, whereUnlisted:
		c.delist(s)
		c.list(i, s)
	}
}

// delist takes a slot out of the list that it is in, whichever that is, and leaves
// it unlisted; place follows. If it was the last ready key of its tenant, the
// tenant is delisted as well.
func (c *core) delist(s *slot) {
	switch s.where {
	case whereGhost:
		if c.unghost(s); !c.measured {
			c.settle(s)
		}
		return
	case whereDelayed:
		c.undelay(s)
		c.clearDebt(s)
		return
	case whereFresh, whereOld, whereHeaped:
	default:
		return
	}
	g := c.group(s.group)
	c.remove(g, s)
	if g.ready == 0 && g.owner != 0 {
		c.delist(c.slots.at(g.owner))
	}
}

// clearDebt ends the state of an idle slot that waits in the wheel for its rate
// limit to be paid.
func (c *core) clearDebt(s *slot) {
	if s.flags&flagDebtor != 0 {
		s.flags &^= flagDebtor
		c.debtors--
	}
}

// remove takes a ready slot out of its group and leaves it unlisted. Unlike delist
// it leaves the tenant listed: hand serves both, and lists the tenant again
// afterwards.
func (c *core) remove(g *group, s *slot) {
	switch s.where {
	case whereFresh:
		l := c.level(s.group, s.credits)
		c.unlink(l, s)
		if l.head == 0 {
			g.fresh &^= 1 << ((s.credits - 1) / 2)
		}
	case whereOld:
		k := c.class(s.group, s.class)
		c.unlink(&k.old, s)
		k.n--
		g.waiting--
		if c.nclass > 1 {
			c.share(g, k, s.class, ^uint64(0))
		}
	case whereHeaped:
		c.heapRemove(g, s)
	}
	g.ready--
}

// front returns the member of a group whose turn it is, or 0. The member stays
// where it is: take follows if it is served.
func (c *core) front(group uint32) uint32 {
	g := c.group(group)
	if g.ready == 0 {
		return 0
	}
	if c.measured {
		return g.heap[0].ID
	}
	if g.fresh != 0 && (g.waiting == 0 || g.freshRun < c.runOf(g)) {
		return c.level(group, 2*int32(bits.Len64(g.fresh))).head
	}
	return c.oldest(group).old.head
}

// runOf returns how many members with credits may be served in a row while others wait. With
// turns of several events it is as many as there are for each that waits: where all keys are
// busy, those without credits are the most and have more events each, so that a seventeenth of
// the turns would let them wait several times as long as the others.
func (c *core) runOf(g *group) uint32 {
	if !c.turns {
		return freshRun
	}
	return uint32(min(max((g.ready-g.waiting)/g.waiting, 1), freshRun))
}

// oldest returns the class whose turn it is among those with members, or nil. It
// is chosen by worst-case fair weighted fair queueing (WF2Q; Bennett & Zhang,
// INFOCOM '96): of the classes that have not had more than their share, the one
// whose share is complete first. Without such a class it is the one that is least
// ahead.
func (c *core) oldest(group uint32) *weightClass {
	if c.nclass == 1 {
		return c.class(group, 0)
	}
	g := c.group(group)
	var first, ahead *weightClass
	for i := range uint8(c.nclass) {
		k := c.class(group, i)
		switch {
		case k.n == 0:
		case int64(k.pass-g.virtual) > 0:
			if ahead == nil || int64(k.pass-ahead.pass) < 0 {
				ahead = k
			}
		case first == nil || int64(k.pass+k.step-first.pass-first.step) < 0:
			first = k
		}
	}
	if first == nil {
		return ahead
	}
	return first
}

// share recomputes a class's step and the group's weight after the class has
// gained a member (more is 1) or lost one (more is -1 as an unsigned number, which
// wraps to a subtraction).
func (c *core) share(g *group, k *weightClass, class uint8, more uint64) {
	g.weight += more * c.weights[class]
	if k.n > 0 {
		k.step = stride / (c.weights[class] * uint64(k.n))
	}
}

// take takes the front out of its group and charges it for one event: a credit, or
// the step of its class. Under MeasuredCost prepay charges it. The slot is left
// unlisted.
func (c *core) take(s *slot) {
	g := c.group(s.group)
	if c.measured {
		c.remove(g, s)
		return
	}
	k := c.class(s.group, s.class)
	if s.where == whereOld {
		g.freshRun = 0
		if c.nclass > 1 {
			if int64(k.pass-g.virtual) > 0 {
				g.virtual = k.pass
			}
			g.virtual += stride / g.weight
			// The virtual time moves by an event's part of the whole weight. It
			// may not fall behind the class that is served, or a class alone in
			// its group would count as ahead of its share forever.
			k.pass += k.step
		}
		if s.round == k.round {
			k.round++ // it has had its turn in this round, and so have all others
		}
	} else if g.freshRun++; g.waiting == 0 {
		g.freshRun = 0
		if s.round == k.round && g.fresh&(1<<((s.credits-1)/2)-1) == 0 {
			k.round++ // the same among those who are still spending credits
		}
	}
	c.remove(g, s)
	s.round = k.round
	s.credits = max(0, s.credits-1)
}
