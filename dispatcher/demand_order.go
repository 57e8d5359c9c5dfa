package dispatcher

import (
	"math/bits"

	"github.com/penstock-go/penstock/internal/heap"
)

// listedBelow is the demand below which subscriptions are in lists. The default of
// MaxDemand is below it.
const listedBelow = 1024

// none is the number of no subscription.
const none = -1

// The values of demandSub.list for a subscription that is in no list of its demand.
const (
	unranked int32 = 0
	inHeap   int32 = listedBelow
)

// demandOrder orders subscriptions by their demand, the greatest first, and those with
// equal demand by turn: the one that was moved last is the last. Each step is O(1) for
// demand below listedBelow, for which there is a list each, and O(log n) for more, which is
// in a heap. A subscription that alone has demand is in neither.
type demandOrder struct {
	subs   []demandSub // by subscription
	sole   int         // the only subscription with demand, if it is in no list and not in the heap
	ranked int         // number of those that are

	lists []demandList             // by demand; made when two subscriptions have demand at once
	words [listedBelow / 64]uint64 // bit i of word w is set if list 64w+i has members
	used  uint64                   // bit w is set if word w is not 0
	heap  heap.Heap[int]           // by the negation of the demand, then by turn
	turn  uint64                   // of the last one that came into the heap
	moved func(sub uint32, at int) // notes the places in the heap
}

// demandSub is what one subscription has asked for and not got, and its place in the order.
type demandSub struct {
	outstanding int
	list        int32 // the demand in whose list it is, or unranked or inHeap
	at          int32 // its place in the heap
	next, prev  int32 // in the list, or none
}

// demandList holds subscriptions with equal demand, by turn, linked by their numbers.
type demandList struct{ head, tail int32 }

func (o *demandOrder) init() {
	o.sole = none
	o.moved = func(sub uint32, at int) { o.subs[sub].at = int32(at) }
}

// add makes sub a subscription without demand.
func (o *demandOrder) add(sub int) {
	for len(o.subs) <= sub {
		o.subs = append(o.subs, demandSub{})
	}
	o.subs[sub] = demandSub{}
}

// first returns the subscription whose turn it is, or none.
func (o *demandOrder) first() int {
	switch {
	case o.sole != none:
		return o.sole
	case len(o.heap) > 0:
		return int(o.heap[0].ID)
	case o.used == 0:
		return none
	}
	w := bits.Len64(o.used) - 1
	return int(o.lists[64*w+bits.Len64(o.words[w])-1].head)
}

// requeue brings the order up to date with sub's demand, and moves sub after the
// subscriptions with equal demand. One without demand is not in the order.
func (o *demandOrder) requeue(sub int) {
	s := &o.subs[sub]
	if s.list != unranked {
		o.leave(s)
	}
	switch {
	case o.ranked == 0 && (o.sole == none || o.sole == sub): // which is the usual case
		o.sole = none
		if s.outstanding > 0 {
			o.sole = sub
		}
	case s.outstanding > 0:
		if o.sole != none {
			first := o.sole
			o.sole = none
			o.enter(first)
		}
		o.enter(sub)
	}
}

// enter puts a subscription with demand after those with as much.
func (o *demandOrder) enter(sub int) {
	o.ranked++
	s := &o.subs[sub]
	if s.outstanding >= listedBelow {
		o.turn++
		s.list = inHeap
		o.heap.Push(heap.Entry[int]{Key: -s.outstanding, Tie: o.turn, ID: uint32(sub)}, o.moved)
		return
	}
	if o.lists == nil {
		o.lists = make([]demandList, listedBelow)
	}
	n := s.outstanding
	s.list, s.next = int32(n), none
	w, bit := n/64, uint64(1)<<(n%64)
	l := &o.lists[n]
	if o.words[w]&bit == 0 {
		o.words[w] |= bit
		o.used |= 1 << w
		s.prev, l.head = none, int32(sub)
	} else {
		s.prev = l.tail
		o.subs[l.tail].next = int32(sub)
	}
	l.tail = int32(sub)
}

// leave takes a subscription out of its list or of the heap.
func (o *demandOrder) leave(s *demandSub) {
	o.ranked--
	n := int(s.list)
	s.list = unranked
	if n == int(inHeap) {
		o.heap.Remove(int(s.at), o.moved)
		return
	}
	l := &o.lists[n]
	switch {
	case s.prev == none && s.next == none:
		w := n / 64
		if o.words[w] &^= 1 << (n % 64); o.words[w] == 0 {
			o.used &^= 1 << w
		}
	case s.prev == none:
		l.head = s.next
		o.subs[s.next].prev = none
	case s.next == none:
		l.tail = s.prev
		o.subs[s.prev].next = none
	default:
		o.subs[s.prev].next = s.next
		o.subs[s.next].prev = s.prev
	}
}
