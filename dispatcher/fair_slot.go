package dispatcher

// A fairSlot is all that is known of one key, or of one tenant. It holds no
// pointers, so that the garbage collector has nothing to look at in a million
// of them. A slot exists while its key has events waiting or in flight, is
// parked, owes its rate limit some time, or has credits to earn back.
type fairSlot struct {
	prev, next   uint32 // in the list that where names; prev is the heap position under MeasuredCost
	dprev, dnext uint32 // in the list of queues of the same depth
	head, tail   uint32 // queue of items; a tenant's head is its group
	count        uint32 // events in the queue
	inflight     uint32 // events handed out without receipt
	bytes        int64  // of the queue
	credits      int32  // left, as of round; the last cost under MeasuredCost
	round        uint32 // in which credits was right
	group        uint32 // in which it is scheduled
	hash         uint32 // in the index
	self         uint32 // the slot's own number
	where        fairWhere
	class        uint8
	depth        uint8 // depth list, 0 is none
	flags        fairFlags
}

// fairTimes are what rate limits and measured costs know of a slot besides. They
// are kept apart so that a slot fills one cache line, and only with such options.
type fairTimes struct {
	tat    int64  // theoretical arrival time of the rate limit
	tag    int64  // virtual start time under MeasuredCost
	due    int64  // tick of the timer wheel
	bucket uint16 // of the timer wheel
}

// timesOf is what timed dispatchers know of a slot besides.
func (c *fairCore) timesOf(s *fairSlot) *fairTimes { return c.times.at(s.self) }

// fairWhere is the list that a slot is in. It is in one at most.
type fairWhere uint8

const (
	fairFree     fairWhere = iota // not in use
	fairUnlisted                  // busy, parked, or a tenant without a ready key
	fairFresh                     // ready, with credits
	fairOld                       // ready, without credits: served in turn
	fairHeaped                    // ready, ordered by virtual time
	fairGhost                     // idle, remembered until its credits are full
	fairDelayed                   // in the timer wheel
)

type fairFlags uint8

const (
	fairParked   fairFlags = 1 << iota // by Park
	fairIsTenant                       // the slot is a tenant
	fairDebtor                         // idle, in the wheel until its rate limit is paid
)

// A fairItem is what is known of one event apart from the event itself. It
// lives from the offer to the last receipt.
type fairItem struct {
	seq      uint64
	deadline int64  // on the clock of Offer.Now, 0 is never
	next     uint32 // in the key's queue, or in the free list
	key      uint32 // slot
	size     uint32 // bytes, saturated
	gen      uint32 // counts deliveries from this slot: the ticket's other half
	estimate int32  // what was charged for it ahead of its receipt, in 1.024 µs
	tries    uint8
	state    fairState
}

type fairState uint8

const (
	fairItemFree fairState = iota
	fairQueued
	fairRequeued // queued again: goes before all that are merely queued
	fairInFlight
)

// fairList is a doubly linked list of slots.
type fairList struct {
	head, tail uint32
}

func (c *fairCore) push(l *fairList, i uint32, s *fairSlot, where fairWhere) {
	s.where = where
	s.prev, s.next = l.tail, 0
	if l.tail == 0 {
		l.head = i
	} else {
		c.slots.at(l.tail).next = i
	}
	l.tail = i
}

func (c *fairCore) unlink(l *fairList, s *fairSlot) {
	if s.prev == 0 {
		l.head = s.next
	} else {
		c.slots.at(s.prev).next = s.next
	}
	if s.next == 0 {
		l.tail = s.prev
	} else {
		c.slots.at(s.next).prev = s.prev
	}
	s.where = fairUnlisted
}

// newSlot is an empty slot that is in no list.
func (c *fairCore) newSlot() (uint32, *fairSlot) {
	i := c.freeSlot
	if i == 0 {
		c.topSlot++
		i = c.topSlot
		c.slots.reach(i)
	} else {
		c.freeSlot = c.slots.at(i).next
	}
	s := c.slots.at(i)
	*s = fairSlot{where: fairUnlisted, self: i}
	if c.timed {
		c.times.reach(i)
		*c.times.at(i) = fairTimes{}
	}
	c.live++
	return i, s
}

func (c *fairCore) dropSlot(i uint32, s *fairSlot) {
	*s = fairSlot{next: c.freeSlot}
	c.freeSlot = i
	c.live--
}

func (c *fairCore) newItem() (uint32, *fairItem) {
	i := c.freeItem
	if i == 0 {
		c.topItem++
		i = c.topItem
		c.items.reach(i)
	} else {
		it := c.items.at(i)
		c.freeItem, it.next = it.next, 0
	}
	return i, c.items.at(i)
}

func (c *fairCore) dropItem(i uint32, it *fairItem) {
	*it = fairItem{next: c.freeItem, gen: it.gen}
	c.freeItem = i
}
