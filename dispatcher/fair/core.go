package fair

import (
	"math/bits"

	"github.com/penstock-go/penstock/internal/heap"
)

// core is the part of [Dispatcher] that knows neither the events' type nor the
// keys': slots, lists and numbers.
type core struct {
	slots    slab[slot]
	items    slab[item]
	times    slab[slotTimes] // by slot, if timed
	timed    bool            // there are rate limits or measured costs
	freeSlot uint32
	freeItem uint32
	topSlot  uint32
	topItem  uint32
	live     int // slots in use

	groups    slab[group]
	classes   slab[weightClass] // nclass for each group
	root      *group
	rootClass *weightClass

	levels  slab[slotList] // one for two credits, for each group
	nclass  uint32
	weights [maxClasses]uint64

	ghosts    slotList
	nghosts   int
	maxGhosts int
	debtors   int // idle keys that wait in the wheel

	depths depths
	wheel  wheel
	subs   subscribers
	now    int64

	credits  int32
	capacity uint32 // in flight per key
	measured bool
	moved    func(i uint32, at int) // notes a slot's place in the heap of its group
	unit     int64                  // cost of a credit
	mean     int64                  // cost of an event, a moving average

	held      int
	heldBytes int64
	inflight  int
	backlog   int // keys with waiting events
	parked    int
	crowd     uint32 // the group of the tenant that has, or had lately, the most waiting keys
}

// group is a set of keys, or of tenants, that share what the group gets.
// Group 1 is the whole; every tenant has one more.
type group struct {
	fresh    uint64 // set of the levels that are not empty
	ready    int    // members that are listed
	waiting  int    // of these, members without credits
	members  int    // keys that have a slot
	backlog  int    // keys with waiting events
	owner    uint32 // the tenant's slot
	freshRun uint32 // members served from fresh in a row while some in old waited
	weight   uint64 // sum over the waiting members
	virtual  uint64 // time at which all classes would have their exact share

	heap   heap.Heap[int64] // under MeasuredCost, in place of levels and classes
	vtime  int64
	maxTag int64
}

// weightClass is the ring of the keys of one weight that have no credits.
type weightClass struct {
	old   slotList
	n     uint32
	round uint32
	pass  uint64 // virtual time up to which the class has had its share
	step  uint64 // that one event of it takes
}

const (
	rootGroup = 1

	// freshRun is the number of keys with credits that may be served in a row
	// before one without gets a turn. It bounds the effect of a stream of ever
	// new keys on those that wait: they keep a seventeenth of the capacity.
	freshRun = 16

	// stride is the virtual time that one event takes at weight 1. It is
	// large enough for 2^32 keys of weight 64; virtual times wrap.
	stride = 1 << 40
)

// group avoids the way through the slab for group 1, which is used most.
func (c *core) group(i uint32) *group {
	if i == rootGroup {
		return c.root
	}
	return c.groups.at(i)
}

func (c *core) class(group uint32, class uint8) *weightClass {
	if group == rootGroup && class == 0 {
		return c.rootClass
	}
	return c.classes.at(group*c.nclass + uint32(class))
}

// level is the list of the ready members of a group with that many credits, two
// to a list. Those with more go first: a flood that has just begun soon
// leaves the level of the light users, who have more, and within a level it is
// first come, first served.
func (c *core) level(group uint32, credits int32) *slotList {
	return c.levels.at(group*levelsOf(c.credits) + uint32(credits-1)/2)
}

// levelsOf is the number of levels for that many credits.
func levelsOf(credits int32) uint32 { return uint32(credits+1) / 2 }

// settle adds the credits that an idle slot has earned: one for each round of its
// class. Keys with waiting events earn none, since they are served once a round;
// otherwise those that were busy when a round ended would go before newcomers in
// the next.
func (c *core) settle(s *slot) {
	round := c.class(s.group, s.class).round
	if s.credits < c.credits {
		s.credits = int32(min(uint32(c.credits), uint32(s.credits)+min(round-s.round, maxCredits)))
	}
	s.round = round
}

// list makes an unlisted slot ready to be served.
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

// wake lists a tenant that has a ready key again.
func (c *core) wake(i uint32, s *slot) {
	switch s.where {
	case whereGhost, whereUnlisted:
		c.delist(s)
		c.list(i, s)
	}
}

// delist takes a slot out of the list that it is in.
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

func (c *core) clearDebt(s *slot) {
	if s.flags&flagDebtor != 0 {
		s.flags &^= flagDebtor
		c.debtors--
	}
}

// remove takes a ready slot out of its group.
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

// front is the member of a group whose turn it is, or 0. It stays where it is:
// take follows if it is served.
func (c *core) front(group uint32) uint32 {
	g := c.group(group)
	if g.ready == 0 {
		return 0
	}
	if c.measured {
		return g.heap[0].ID
	}
	if g.fresh != 0 && (g.freshRun < freshRun || g.waiting == 0) {
		return c.level(group, 2*int32(bits.Len64(g.fresh))).head
	}
	return c.oldest(group).old.head
}

// oldest is the class whose turn it is among those with members, or nil. It is
// chosen by worst-case-fair weighted fair queueing (Bennett & Zhang, INFOCOM
// '96): of the classes that have not had more than their share, the one whose
// share is complete first.
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

// share sets what one event means to a class and to all of them.
func (c *core) share(g *group, k *weightClass, class uint8, more uint64) {
	g.weight += more * c.weights[class]
	if k.n > 0 {
		k.step = stride / (c.weights[class] * uint64(k.n))
	}
}

// take takes the front out of its group and charges it for one event.
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

// unspent reports whether there is nothing to remember of a slot.
func (c *core) unspent(s *slot) bool {
	if c.measured {
		return c.timesOf(s).tag <= c.group(s.group).vtime-c.burst()
	}
	return s.credits >= c.credits
}

// earned reports whether a ghost may be forgotten.
func (c *core) earned(s *slot) bool {
	if !c.measured {
		c.settle(s)
	}
	return c.unspent(s)
}

// ghost remembers an idle slot until it may be forgotten.
func (c *core) ghost(i uint32, s *slot) {
	if !c.measured {
		s.round = c.class(s.group, s.class).round
	}
	c.push(&c.ghosts, i, s, whereGhost)
	c.nghosts++
}

func (c *core) unghost(s *slot) {
	c.unlink(&c.ghosts, s)
	c.nghosts--
}

// busier and quieter count the keys of a group with waiting events. When there is
// none, no key has delayed another and all get their credits back.
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

// crowded is a key of the largest tenant, if possible the one that came last, or
// 0 if the given group is as large or there is none.
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
