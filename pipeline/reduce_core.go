package pipeline

// reduction is the state per key of a Reduce, and which keys have changed since their last
// summary. It knows no stage: I is what is kept of an event until its summary is emitted. It
// belongs to one goroutine.
type reduction[S, I any] struct {
	maxKeys, maxEvents int
	totals             bool // states outlive their summaries

	keys    map[string]*keyState[S, I]
	changed []*keyState[S, I] // in the order of their first change
	events  int               // that wait for a summary
	unused  []*keyState[S, I]
	// oldest and newest are the ends of the list of known keys by their last change. Only
	// totals need it: other keys are known only while they are changed.
	oldest, newest *keyState[S, I]
	forgotten      int64 // keys whose total was dropped to make room
}

// keyState is what is known of one key.
type keyState[S, I any] struct {
	key        string
	state      S
	waiting    []I  // of the events since the last summary
	changed    bool // it is in changed
	prev, next *keyState[S, I]
}

func newReduction[S, I any](maxKeys, maxEvents int, totals bool) *reduction[S, I] {
	return &reduction[S, I]{maxKeys: maxKeys, maxEvents: maxEvents, totals: totals, keys: make(map[string]*keyState[S, I])}
}

// full reports whether the summaries must be emitted before an event of a known key, or of
// another one, can be added.
func (r *reduction[S, I]) full(known bool) bool {
	return r.events >= r.maxEvents || !known && len(r.changed) >= r.maxKeys
}

// open makes a key known that is not. It must not be full. forgot reports that another
// key has lost its total.
func (r *reduction[S, I]) open(key string) (k *keyState[S, I], forgot bool) {
	if len(r.keys) >= r.maxKeys {
		r.forget(r.oldest) // it has not changed: there are fewer changed keys
		r.forgotten++
		forgot = true
	}
	if n := len(r.unused); n > 0 {
		k, r.unused = r.unused[n-1], r.unused[:n-1]
	} else {
		k = new(keyState[S, I])
	}
	k.key = key
	r.keys[key] = k
	r.link(k)
	return k, forgot
}

// added takes in that an event has changed the state of a key.
func (r *reduction[S, I]) added(k *keyState[S, I], event I) {
	k.waiting = append(k.waiting, event)
	r.events++
	if !k.changed {
		k.changed = true
		r.changed = append(r.changed, k)
	}
	if k != r.newest {
		r.unlink(k)
		r.link(k)
	}
}

// summarize calls f for each key that has changed since the last time. f must not keep the
// slice of the key's events.
func (r *reduction[S, I]) summarize(f func(key string, state *S, events []I)) {
	for i := range r.changed {
		k := r.changed[i]
		r.changed[i] = nil
		f(k.key, &k.state, k.waiting)
		clear(k.waiting)
		k.waiting, k.changed = k.waiting[:0], false
		if !r.totals {
			r.forget(k)
		}
	}
	r.changed, r.events = r.changed[:0], 0
}

// maxWaiting bounds the capacity of a slice that is kept for another key.
const maxWaiting = 64

// forget makes a key unknown.
func (r *reduction[S, I]) forget(k *keyState[S, I]) {
	delete(r.keys, k.key)
	r.unlink(k)
	waiting := k.waiting[:0]
	if cap(waiting) > maxWaiting {
		waiting = nil
	}
	*k = keyState[S, I]{waiting: waiting}
	if len(r.unused) < r.maxKeys {
		r.unused = append(r.unused, k)
	}
}

// link puts a key at the end of the list.
func (r *reduction[S, I]) link(k *keyState[S, I]) {
	k.prev, k.next = r.newest, nil
	if r.newest != nil {
		r.newest.next = k
	} else {
		r.oldest = k
	}
	r.newest = k
}

// unlink takes a key out of the list.
func (r *reduction[S, I]) unlink(k *keyState[S, I]) {
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		r.oldest = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		r.newest = k.prev
	}
}
