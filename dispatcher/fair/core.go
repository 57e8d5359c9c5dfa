package fair

import (
	"github.com/penstock-go/penstock/internal/heap"
)

// core is the part of [Dispatcher] that depends neither on the events' type nor on
// the keys': slots, lists and numbers.
// It has no lock: like the whole dispatcher it belongs to the goroutine of the
// stage. Slots, items and groups are named by their index in a slab; 0 is none.
type core struct {
	slots slab[slot]
	times slab[slotTimes] // by slot, if timed
	timed bool            // there are rate limits, measured costs or pauses
	// Slots not in use are linked by next. Items not in use are in freed, from 1 to
	// freeItems: a link would be read from an item that is in no cache any more. The last
	// one freed is the first to be used. The tops are the highest indices ever used: what is
	// above has never been, or not since trim.
	freeSlot  uint32
	freed     slab[uint32]
	freeItems uint32
	topSlot   uint32
	topItem   uint32
	live      int // slots in use

	// The slabs of classes and levels are two-dimensional: group times nclass, and
	// group times levelsOf. root and rootClass are the elements of group 1.
	groups    slab[group]
	classes   slab[weightClass] // nclass for each group
	root      *group
	rootClass *weightClass

	levels  slab[slotList] // one for two credits, for each group
	nclass  uint32
	weights [maxClasses]uint64

	// Idle slots that have not earned their credits back, in the order in which
	// they became idle. maxGhosts bounds them, so a million keys that each send
	// once cost bounded memory.
	ghosts    slotList
	nghosts   int
	maxGhosts int
	debtors   int // idle keys that wait in the wheel

	depths depths
	ages   ages
	wheel  wheel
	subs   subscribers
	// The latest Offer.Now, in nanoseconds from 0 up. It never goes back.
	now int64

	// The options of Config that scheduling needs, without the events' type.
	credits  int32
	capacity uint32 // in flight per key
	measured bool
	turns    bool                   // a turn may have several events
	moved    func(i uint32, at int) // notes a slot's place in the heap of its group
	unit     int64                  // cost of a credit
	mean     int64                  // cost of an event, a moving average

	// Counters that Demand, Snapshot and the bounds read. held counts queued
	// events, inflight those with a ticket.
	held      int
	heldBytes int64
	inflight  int
	backlog   int // keys with waiting events
	blocked   int // of them those with as many events in flight as are allowed
	parked    int
	crowd     uint32 // the group of the tenant that has, or had lately, the most waiting keys
}

// group is a set of keys, or of tenants, that share what the group gets.
// Group 1 is the whole; every tenant has one more.
type group struct {
	// Members are in levels (with credits) or in the rings of their classes
	// (without). freshRun, weight and virtual belong to the choice between them.
	fresh    uint64 // set of the levels that are not empty
	ready    int    // members that are listed
	waiting  int    // of these, members without credits
	members  int    // keys that have a slot
	backlog  int    // keys with waiting events
	owner    uint32 // the tenant's slot
	freshRun uint32 // members served from fresh in a row while some in old waited
	weight   uint64 // sum over the waiting members
	virtual  uint64 // time at which all classes would have their exact share

	// vtime is the group's virtual time, maxTag the greatest tag that a member has
	// had; both in nanoseconds times costScale.
	heap   heap.Heap[int64] // under MeasuredCost, in place of levels and classes
	vtime  int64
	maxTag int64
}

// weightClass is the ring of the keys of one weight that have no credits. They are
// served round-robin: one served goes to the tail. pass and step are in units of
// stride, wrap, and are compared by the sign of their difference.
type weightClass struct {
	// round counts how often every key of the ring has had its turn. It is what
	// idle keys earn their credits by: work of others, not time.
	old   slotList
	n     uint32
	round uint32
	pass  uint64 // virtual time up to which the class has had its share
	step  uint64 // that one event of it takes
}

const (
	// rootGroup is the group of all tenants, or of all keys without Tenant.
	rootGroup = 1

	// freshRun is the number of keys with credits that may be served in a row
	// before one without gets a turn. It bounds the effect of a stream of ever
	// new keys on those that wait: they keep a seventeenth of the capacity. See runOf.
	freshRun = 16

	// stride is the virtual time that one event takes at weight 1. It is
	// large enough for 2^32 keys of weight 64; virtual times wrap.
	stride = 1 << 40
)

// group returns a group by its index. Group 1 is used most, so it does not go
// through the slab.
func (c *core) group(i uint32) *group {
	if i == rootGroup {
		return c.root
	}
	return c.groups.at(i)
}

// class returns the weight class of a group; like group it has a shortcut for the
// case without Tenant and Weights.
func (c *core) class(group uint32, class uint8) *weightClass {
	if group == rootGroup && class == 0 {
		return c.rootClass
	}
	return c.classes.at(group*c.nclass + uint32(class))
}

// level is the list of the ready members of a group with that many credits (at
// least 1), two numbers of credits to a list. Members with more go first: a flood
// that has just begun soon leaves the level of the light users. Within a level it
// is first come, first served.
func (c *core) level(group uint32, credits int32) *slotList {
	return c.levels.at(group*levelsOf(c.credits) + uint32(credits-1)/2)
}

// levelsOf is the number of levels for that many credits.
func levelsOf(credits int32) uint32 { return uint32(credits+1) / 2 }
