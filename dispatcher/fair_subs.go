package dispatcher

// fairSubs are the subscriptions; those with demand are in a ring and are
// handed one event each in turn.
type fairSubs struct {
	all  []fairSub
	head int32 // in all, -1 is none
	tail int32
}

type fairSub struct {
	demand     int
	prev, next int32
}

func (r *fairSubs) init() { r.head, r.tail = -1, -1 }

func (r *fairSubs) add(sub int) {
	for len(r.all) <= sub {
		r.all = append(r.all, fairSub{})
	}
	r.all[sub] = fairSub{}
}

func (r *fairSubs) ask(sub, n int) {
	s := &r.all[sub]
	if s.demand == 0 {
		r.push(int32(sub))
	}
	s.demand = addSaturating(s.demand, n)
}

func (r *fairSubs) cancel(sub int) {
	if s := &r.all[sub]; s.demand > 0 {
		s.demand = 0
		r.unlink(int32(sub))
	}
}

// next is the subscription whose turn it is, charged with one event. There must
// be one.
func (r *fairSubs) next() int {
	sub := r.head
	s := &r.all[sub]
	if s.demand--; s.demand == 0 {
		r.unlink(sub)
	} else if s.next >= 0 {
		r.unlink(sub)
		r.push(sub)
	}
	return int(sub)
}

func (r *fairSubs) push(sub int32) {
	s := &r.all[sub]
	s.prev, s.next = r.tail, -1
	if r.tail < 0 {
		r.head = sub
	} else {
		r.all[r.tail].next = sub
	}
	r.tail = sub
}

func (r *fairSubs) unlink(sub int32) {
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
