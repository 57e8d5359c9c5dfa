package websocket

import (
	"slices"
	"sync"
)

// item is one wire in an outbound queue. That of a broadcast can be in many
// queues at once: it must not be changed after it was queued.
type item struct {
	wire    wire
	written hook     // may be nil
	key     string   // of conflation; "" for none
	policy  Overflow // what happens without room; unused for a control message
	control bool     // never discarded by a policy
	urgent  bool     // goes out before all that is not; a control message
	last    bool     // the close frame
}

// load returns what the item adds to a queue.
func (it *item) load() load { return load{1, len(it.wire)} }

// line is a list of items, of which those before head have been taken. A nil
// line is an empty one that can only be read.
type line struct {
	// In the order in which they go out.
	items []*item
	head  int
	// How many items from head on are urgent.
	urgent int
}

var lines = sync.Pool{New: func() any { return &line{items: make([]*item, 0, 32)} }}

// free returns the line to the pool, unless it has grown large.
// The caller must not use the line any more. Items that are left in it are
// forgotten, not reported.
func (l *line) free() {
	if cap(l.items) <= 64 {
		clear(l.items)
		l.items, l.head, l.urgent = l.items[:0], 0, 0
		lines.Put(l)
	}
}

// len returns how many items wait.
func (l *line) len() int {
	if l == nil {
		return 0
	}
	return len(l.items) - l.head
}

// push appends an item. It moves the items to the front of the array instead of
// growing it, if more than half of it is free.
func (l *line) push(it *item) {
	if len(l.items) == cap(l.items) && l.head > len(l.items)/2 {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, it)
}

// pushUrgent puts an item before all that are not urgent.
func (l *line) pushUrgent(it *item) {
	at := l.head + l.urgent
	if l.head > 0 { // the urgent ones move by one place, into the free one
		copy(l.items[l.head-1:], l.items[l.head:at])
		l.items[at-1] = it
		l.head--
	} else {
		l.items = slices.Insert(l.items, at, it)
	}
	l.urgent++
}

// find returns the last item with a key, or nil. There are two if one was given back after
// another had been queued.
func (l *line) find(key string) *item {
	if l == nil {
		return nil
	}
	// A linear search: a line is short, and few channels conflate.
	for i := len(l.items) - 1; i >= l.head; i-- {
		if it := l.items[i]; it.key == key {
			return it
		}
	}
	return nil
}

// replace puts an item in the place of another one, which must be there.
func (l *line) replace(old, it *item) {
	for i := l.head; i < len(l.items); i++ {
		if l.items[i] == old {
			l.items[i] = it
			return
		}
	}
}

// removeOldest removes the oldest item that a policy may discard, or returns nil.
func (l *line) removeOldest() *item {
	if l == nil {
		return nil
	}
	for i := l.head; i < len(l.items); i++ {
		if it := l.items[i]; !it.control && it.policy != retried {
			// The last place is cleared, so that it keeps no item alive.
			copy(l.items[i:], l.items[i+1:])
			l.items[len(l.items)-1] = nil
			l.items = l.items[:len(l.items)-1]
			return it
		}
	}
	return nil
}

// removeAll empties the line and returns its items.
func (l *line) removeAll() (gone []*item) {
	if l.len() == 0 {
		return nil
	}
	gone = append(gone, l.items[l.head:]...)
	clear(l.items)
	l.items, l.head, l.urgent = l.items[:0], 0, 0
	return gone
}

// removeEvents removes and returns all items but control messages.
func (l *line) removeEvents() (gone []*item) {
	if l.len() == 0 {
		return nil
	}
	kept := l.items[:l.head]
	for _, it := range l.items[l.head:] {
		if it.control {
			kept = append(kept, it)
		} else {
			gone = append(gone, it)
		}
	}
	clear(l.items[len(kept):])
	l.items = kept
	return gone
}

// take moves items from the head into b, as many as a write of the size may hold.
func (l *line) take(b *batch, most load) {
	b.clear()
	bytes := 0
	for l.head < len(l.items) && b.n < most.frames {
		it := l.items[l.head]
		// The first item is taken whatever its size.
		if b.n > 0 && bytes+len(it.wire) > most.bytes {
			break
		}
		b.items[b.n] = it
		b.n++
		bytes += len(it.wire)
		if it.control {
			b.asked.add(it.load(), 1)
		} else {
			b.events.add(it.load(), 1)
		}
		if it.urgent {
			l.urgent--
		}
		// The batch owns it now.
		l.items[l.head] = nil
		l.head++
	}
	// Empty: the whole array is free again.
	if l.head == len(l.items) {
		l.items, l.head = l.items[:0], 0
	}
}

// giveBack moves the items of b from the i-th on to the head again, as they were, but behind
// what has become urgent since.
func (l *line) giveBack(b *batch, i int) {
	back := b.items[i:b.n]
	urgent := 0
	for _, it := range back {
		if it.control {
			b.asked.add(it.load(), -1)
		} else {
			b.events.add(it.load(), -1)
		}
		if it.urgent {
			urgent++
		}
	}
	// Urgent ones are always taken first.
	l.items = slices.Insert(l.items, l.head+l.urgent, back[urgent:]...)
	l.items = slices.Insert(l.items, l.head, back[:urgent]...)
	l.urgent += urgent
	clear(back)
	b.n = i
}
