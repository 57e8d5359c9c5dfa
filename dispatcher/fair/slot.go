package fair

import "github.com/penstock-go/penstock/internal/gcra"

// A slot holds all that is known of one key, or of one tenant. It holds no
// pointers, so the garbage collector does not look into a million of them. A slot
// exists while its key has waiting events or events in flight, is parked, owes its
// rate limit some time, or has credits to earn back.
type slot struct {
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
	where        listKind
	class        uint8
	depth        uint8 // depth list, 0 is none
	flags        slotFlags
}

// slotTimes are the parts of a slot that rate limits, measured costs and pauses need. They
// are kept apart, and only with such options, so that a slot fills one cache line.
type slotTimes struct {
	rate   gcra.Bucket // of the rate limit
	tag    int64       // virtual start time under MeasuredCost
	due    int64       // tick of the timer wheel
	until  int64       // the end of the pause after a failure
	bucket uint16      // of the timer wheel
}

// timesOf returns the slotTimes of a slot, of a timed dispatcher.
func (c *core) timesOf(s *slot) *slotTimes { return c.times.at(s.self) }

// listKind is the list that a slot is in. It is in one at most.
type listKind uint8

const (
	whereFree     listKind = iota // not in use
	whereUnlisted                 // busy, parked, or a tenant without a ready key
	whereFresh                    // ready, with credits
	whereOld                      // ready, without credits: served in turn
	whereHeaped                   // ready, ordered by virtual time
	whereGhost                    // idle, remembered until its credits are full
	whereDelayed                  // in the timer wheel
)

// slotFlags are states of a slot that are independent of its list.
type slotFlags uint8

const (
	flagParked slotFlags = 1 << iota // by Park
	flagTenant                       // the slot is a tenant
	flagDebtor                       // idle, in the wheel until its rate limit is paid
	flagPaced                        // has waited for its rate limit since its queue was last empty
)

// An item holds what is known of one event. It exists from the offer to the last receipt.
type item struct {
	seq   uint64
	next  uint32 // in the key's queue
	key   uint32 // slot
	gen   uint32 // counts deliveries from this slot: the ticket's other half
	tries uint16 // saturated
	state itemState
	age   uint8 // the number of its cohort in ages, while it is queued
}

// cell is an item with its event beside it. Thousands of others come and go between the
// offer of an event and its turn: by then neither is in a cache, and each access to memory
// costs as much as all else that is done for the event.
type cell[T any] struct {
	item
	event T // zero unless the item is queued
}

// itemExtra are the parts of an item that only Size, TTL and MeasuredCost need. They are
// kept apart, and only with such options.
type itemExtra struct {
	deadline int64  // on the clock of Offer.Now, 0 is never
	size     uint32 // bytes, saturated
	estimate int32  // the charge in advance of its receipt, in 1.024 µs
}

// itemState is where an event is on its way from offer to receipt.
type itemState uint8

const (
	itemFree itemState = iota
	itemQueued
	itemRequeued // queued again: goes before all events queued once
	itemInFlight
)

// slotList is a doubly linked list of slots, through their fields prev and next.
// The zero value is empty.
type slotList struct {
	head, tail uint32
}

// push puts an unlisted slot at the tail of a list; where is the kind of the list.
func (c *core) push(l *slotList, i uint32, s *slot, where listKind) {
	s.where = where
	s.prev, s.next = l.tail, 0
	if l.tail == 0 {
		l.head = i
	} else {
		c.slots.at(l.tail).next = i
	}
	l.tail = i
}

// unlink takes a slot out of the list that it is in and leaves it unlisted. The
// caller names the list, since a slot knows only its kind.
func (c *core) unlink(l *slotList, s *slot) {
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
	s.where = whereUnlisted
}

// newSlot returns an empty slot that is in no list. It allocates only when every
// slot ever made is in use.
func (c *core) newSlot() (uint32, *slot) {
	i := c.freeSlot
	if i == 0 {
		c.topSlot++
		i = c.topSlot
		c.slots.reach(i)
	} else {
		c.freeSlot = c.slots.at(i).next
	}
	s := c.slots.at(i)
	*s = slot{where: whereUnlisted, self: i}
	if c.timed {
		c.times.reach(i)
		*c.times.at(i) = slotTimes{}
	}
	c.live++
	return i, s
}

// dropSlot frees a slot that is in no list. It is zeroed, so its count is 0 until
// another key has it.
func (c *core) dropSlot(i uint32, s *slot) {
	*s = slot{next: c.freeSlot}
	c.freeSlot = i
	c.live--
}

// newItem returns a free item. Its generation goes on from its last use.
func (f *Dispatcher[T, K]) newItem() (uint32, *cell[T]) {
	if f.freeItems == 0 {
		f.topItem++
		f.items.reach(f.topItem)
		if f.apart {
			f.extras.reach(f.topItem)
		}
		return f.topItem, f.items.at(f.topItem)
	}
	i := *f.freed.at(f.freeItems)
	f.freeItems--
	return i, f.items.at(i)
}

// dropItem frees an item, whose event is zero, and keeps its generation, so that old
// tickets stay invalid.
func (f *Dispatcher[T, K]) dropItem(i uint32, it *cell[T]) {
	it.item = item{gen: it.gen}
	f.freeItems++
	f.freed.reach(f.freeItems)
	*f.freed.at(f.freeItems) = i
}

// sizeOf returns what a queued event counts for, in bytes.
func (f *Dispatcher[T, K]) sizeOf(i uint32) uint32 {
	if f.cfg.Size == nil {
		return f.sizeof
	}
	return f.extras.at(i).size
}
