package fair

import "math"

// subscribers holds the subscriptions; those with demand are in a ring and get one
// event each in turn. Links are indices into all, since that slice may move.
type subscribers struct {
	all  []subscriber
	head int32 // in all, -1 is none
	tail int32
}

// subscriber is one subscription: it is in the ring while demand is above 0.
type subscriber struct {
	demand     int
	prev, next int32
}

// init empties the ring: the zero value would name subscription 0.
func (r *subscribers) init() { r.head, r.tail = -1, -1 }

// add makes a subscription without demand. The stage numbers them from 0 and may
// use a number again after it was cancelled.
func (r *subscribers) add(sub int) {
	for len(r.all) <= sub {
		r.all = append(r.all, subscriber{})
	}
	r.all[sub] = subscriber{}
}

// ask adds n, at least 1, to a subscription's demand.
func (r *subscribers) ask(sub, n int) {
	s := &r.all[sub]
	if s.demand == 0 {
		r.push(int32(sub))
	}
	s.demand = saturatingAdd(s.demand, n)
}

// cancel forgets a subscription's demand. What it was given comes back by
// receipts.
func (r *subscribers) cancel(sub int) {
	if s := &r.all[sub]; s.demand > 0 {
		s.demand = 0
		r.unlink(int32(sub))
	}
}

// next returns the subscription whose turn it is, and charges it with one event.
// There must be one.
func (r *subscribers) next() int {
	sub := r.head
	s := &r.all[sub]
	if s.demand--; s.demand == 0 {
		r.unlink(sub)
		// To the end of the ring, unless it is there already.
	} else if s.next >= 0 {
		r.unlink(sub)
		r.push(sub)
	}
	return int(sub)
}

// more charges a subscription with one more event, in the place that it has in the ring.
// It returns false if the subscription has no demand.
func (r *subscribers) more(sub int) bool {
	s := &r.all[sub]
	if s.demand == 0 {
		return false
	}
	if s.demand--; s.demand == 0 {
		r.unlink(int32(sub))
	}
	return true
}

// push puts a subscription at the end of the ring.
func (r *subscribers) push(sub int32) {
	s := &r.all[sub]
	s.prev, s.next = r.tail, -1
	if r.tail < 0 {
		r.head = sub
	} else {
		r.all[r.tail].next = sub
	}
	r.tail = sub
}

// unlink takes a subscription out of the ring.
func (r *subscribers) unlink(sub int32) {
	s := &r.all[sub]
	if s.prev < 0 {
		r.head = s.next
	} else {
		r.all[s.prev].next = s.next
	}
	if s.next < 0 {
		r.tail = s.prev
	} else {
		r.all[s.next].prev = s.prev
	}
}

// saturatingAdd adds two counts, neither below 0, and never wraps.
func saturatingAdd(a, b int) int {
	if s := a + b; s >= 0 {
		return s
	}
	return math.MaxInt
}
