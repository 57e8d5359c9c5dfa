package pubsub

import "hash/maphash"

// topics is the topics of a shard by name: a hash table in which each topic takes one word or two,
// since its name and the link to the next one are in a subscription of it. A map takes some 40
// bytes for each. The shard's mutex guards it.
type topics struct {
	seed    maphash.Seed    // not that which chooses the shard: all names here share bits of that hash
	buckets []*Subscription // a power of two, or none; linked by Subscription.next
	n       int
}

// leastBuckets is what the first topic allocates.
const leastBuckets = 4

// len returns the number of topics.
func (t *topics) len() int { return t.n }

// place returns where a name is linked, or would be at the end of its list: then it points to nil.
// There must be buckets.
func (t *topics) place(name string) **Subscription {
	at := &t.buckets[maphash.String(t.seed, name)&uint64(len(t.buckets)-1)]
	for *at != nil && (*at).name != name {
		at = &(*at).next
	}
	return at
}

// of returns the subscription that stands for a topic, or nil.
func (t *topics) of(name string) *Subscription {
	if t.n == 0 {
		return nil
	}
	return *t.place(name)
}

// add adds a topic that is not there. There are as many buckets as topics, or more, so that the
// lists are short.
func (t *topics) add(s *Subscription) {
	if t.n == len(t.buckets) {
		t.grow()
	}
	*t.place(s.name) = s
	t.n++
}

// grow doubles the buckets.
func (t *topics) grow() {
	old := t.buckets
	t.buckets = make([]*Subscription, max(leastBuckets, 2*len(old)))
	for _, s := range old {
		for s != nil {
			next := s.next
			s.next = nil
			*t.place(s.name) = s
			s = next
		}
	}
}

// remove removes a topic that is there. As with a map, the buckets stay.
func (t *topics) remove(s *Subscription) {
	*t.place(s.name) = s.next
	s.next = nil
	t.n--
}

// replace has another subscription of the same topic stand for it.
func (t *topics) replace(s, by *Subscription) {
	*t.place(s.name) = by
	s.next, by.next = nil, s.next
}

// names returns the names of all topics.
func (t *topics) names() []string {
	list := make([]string, 0, t.n)
	for _, s := range t.buckets {
		for ; s != nil; s = s.next {
			list = append(list, s.name)
		}
	}
	return list
}
