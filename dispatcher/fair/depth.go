package fair

import "math/bits"

// depths files every queue under its depth, so that the longest one is
// found in constant time, as in the drop rule of Linux's sch_sfq. Up to 15 the
// depth is exact, above it there are eight lists from one power of two to the next, so
// that the queue found is at least 8/9 as long as the longest, and a queue changes its
// list with few of its events. Queues of depth 0 and 1 are in no list, so a light user's
// key costs nothing.
//
// A queue's depth is the part of the room that it takes up, in events or in bytes,
// the larger of the two: bytes are divided by the size at which both global bounds
// would be reached at once.
type depths struct {
	// heads are the first slots of the lists, linked by dprev and dnext; used is
	// the set of the lists that are not empty, one bit each.
	heads [depthLists]uint32
	used  [depthLists / 64]uint64
	shift uint8 // bytes to events
}

const (
	// Lists 2 to 15 are exact; from 16 on a list is for the depths with the same four
	// leading bits.
	exactDepths = 16
	depthLists  = 256
)

// init sets the rate at which bytes count as events: the global bounds' quotient,
// rounded down to a power of two.
func (d *depths) init(maxEvents int, maxBytes int64) {
	d.shift = uint8(bits.Len64(max(uint64(maxBytes)/uint64(maxEvents), 1) - 1))
}

// list returns the number of the list for a queue of count events and so many
// bytes, 0 if it needs none.
func (d *depths) list(count uint32, bytes int64) uint8 {
	m := max(uint64(count), uint64(bytes)>>d.shift)
	switch {
	case m < 2:
		return 0
	case m < exactDepths:
		return uint8(m)
	default:
		n := bits.Len64(m)
		return uint8(min(exactDepths+(n-5)*8+int(m>>(n-4)&7), depthLists-1))
	}
}

// refile moves a queue to the list of its depth. Call it after each change of
// s.count or s.bytes.
func (c *core) refile(i uint32, s *slot) {
	d := &c.depths
	to := d.list(s.count, s.bytes)
	if to == s.depth {
		return
	}
	if from := s.depth; from != 0 {
		if s.dprev == 0 {
			d.heads[from] = s.dnext
			if s.dnext == 0 {
				d.used[from>>6] &^= 1 << (from & 63)
			}
		} else {
			c.slots.at(s.dprev).dnext = s.dnext
		}
		if s.dnext != 0 {
			c.slots.at(s.dnext).dprev = s.dprev
		}
	}
	s.depth = to
	if to == 0 {
		return
	}
	s.dprev, s.dnext = 0, d.heads[to]
	if s.dnext != 0 {
		c.slots.at(s.dnext).dprev = i
	}
	d.heads[to] = i
	d.used[to>>6] |= 1 << (to & 63)
}

// longest is a queue of the greatest depth, or 0 if none is deeper than 1.
func (d *depths) longest() uint32 {
	return d.below(depthLists)
}

// below returns the first queue of the deepest list whose number is less than
// list, or 0. Snapshot walks down the lists with it.
func (d *depths) below(list int) uint32 {
	for w := len(d.used) - 1; w >= 0; w-- {
		word := d.used[w]
		if over := list - w*64; over <= 0 {
			continue
		} else if over < 64 {
			word &= 1<<over - 1
		}
		if word != 0 {
			return d.heads[w*64+63-bits.LeadingZeros64(word)]
		}
	}
	return 0
}
