package fair

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// verdict is what becomes of an event that is offered.
type verdict uint8

const (
	admitted verdict = iota
	paused           // the source waits with it
	refused          // it is discarded
)

// enqueue takes one event into the queue of its key, and then drops what is over
// the bounds, the event itself if need be. It returns false, and has changed
// nothing, if the source is to be paused before that event.
func (f *Dispatcher[T, K]) enqueue(event T, seq uint64, out dispatcher.Out[T]) bool {
	size := f.size(event)
	key := f.key(event)
	hash := f.index.hash(key)
	i, s, v := f.admit(event, key, hash, size, out)
	switch v {
	case paused:
		return false
	case refused:
		f.discard(event, seq, receipt.KeyFull, out)
		return true
	}
	if i == 0 {
		i, s = f.newKey(key, hash, event)
	}
	if f.latest == nil || !f.conflate(i, s, event, seq, size, out) {
		f.append(i, s, event, seq, size)
	}
	f.trimKey(i, s, out)
	if s.count > 0 {
		// Otherwise the event was dropped again, merged with one it made too large.
		// The slot may be free then, and what is over a global bound was put back.
		f.trimLongest(i, s, out)
	}
	return true
}

// admit decides about an event of a key, and returns the key's slot, which is 0 if
// the key has none. It may hand out events, so a slot found before is found again.
func (f *Dispatcher[T, K]) admit(event T, key K, hash, size uint32, out dispatcher.Out[T]) (i uint32, s *slot, v verdict) {
	i, s = f.find(key, hash)
	if f.full(size) || i != 0 && f.keyFull(s, size) {
		f.handOut(out) // what can go need not be dropped
		i, s = f.find(key, hash)
		keyFull := i != 0 && f.keyFull(s, size)
		switch {
		case f.cfg.Overflow == Pause && f.held > 0 && f.full(size) && !f.replaces(i, event, size):
			return i, s, paused
		case keyFull && f.cfg.KeyOverflow == Pause && s.count > 0:
			return i, s, paused
		case keyFull && f.cfg.KeyOverflow == DropNewest:
			return i, s, refused
		}
	}
	if int64(size) > f.cfg.KeyMaxBytes && f.cfg.KeyOverflow != Pause {
		return i, s, refused // it alone is more than a key may have
	}
	return i, s, admitted
}

// full reports whether an event of this size would exceed a global bound.
func (f *Dispatcher[T, K]) full(size uint32) bool {
	return f.held >= f.cfg.MaxEvents || f.heldBytes+int64(size) > f.cfg.MaxBytes
}

// trimKey drops the oldest events of a key that has more than its share, where
// that is its policy.
func (f *Dispatcher[T, K]) trimKey(i uint32, s *slot, out dispatcher.Out[T]) {
	if f.cfg.KeyOverflow != DropOldest && f.cfg.KeyOverflow != Conflate {
		return
	}
	for int(s.count) > f.cfg.KeyMaxEvents || s.bytes > f.cfg.KeyMaxBytes {
		f.dropHead(i, s, receipt.KeyFull, out)
	}
}

// trimLongest drops the oldest events of the longest queues while there are more
// than fit, where that is the policy. i is the key of the newest event.
func (f *Dispatcher[T, K]) trimLongest(i uint32, s *slot, out dispatcher.Out[T]) {
	if f.cfg.Overflow != DropLongest {
		return
	}
	for f.held > f.cfg.MaxEvents || f.heldBytes > f.cfg.MaxBytes {
		victim := f.depths.longest()
		if victim == 0 {
			// No key has more than one event. A key of the largest tenant loses its
			// own, so that no tenant fills the room with invented keys.
			victim = f.crowded(s.group)
		}
		if victim == 0 {
			// The newest event goes. What was put back beyond the bound stays.
			f.dropHead(i, s, receipt.QueueFull, out)
			return
		}
		f.dropHead(victim, f.slots.at(victim), receipt.QueueFull, out)
	}
}

// find returns the slot of a key, or 0 and nil.
func (f *Dispatcher[T, K]) find(key K, hash uint32) (uint32, *slot) {
	if i := f.index.find(key, hash); i != 0 {
		return i, f.slots.at(i)
	}
	return 0, nil
}

// keyFull reports whether an event of this size would exceed a bound of the key.
func (f *Dispatcher[T, K]) keyFull(s *slot, size uint32) bool {
	return int(s.count) >= f.cfg.KeyMaxEvents || s.bytes+int64(size) > f.cfg.KeyMaxBytes
}

// append puts a new event at the end of a queue, in an item of its own.
func (f *Dispatcher[T, K]) append(i uint32, s *slot, event T, seq uint64, size uint32) {
	n, it := f.newItem()
	it.seq, it.key, it.state, it.age, it.event = seq, i, itemQueued, f.ages.come(), event
	if f.apart {
		f.note(n, event, size)
	}
	if s.count == 0 {
		s.head = n
	} else {
		f.items.at(s.tail).next = n
	}
	s.tail = n
	if f.latest != nil {
		f.latest[subKey{i, f.cfg.SubKey(event)}] = n
	}
	f.grown(i, s, size)
}

// note keeps the size of an event that is queued in item n, and when it expires.
func (f *Dispatcher[T, K]) note(n uint32, event T, size uint32) {
	extra := f.extras.at(n)
	extra.size = size
	if f.mortal {
		extra.deadline = f.deadline(event)
	}
}

// requeue puts an event that was in flight back before all that were not, and
// before those with a greater number that came back too: events of one key that
// come back together keep their order. The bounds do not hold for it, since it was
// accepted before.
func (f *Dispatcher[T, K]) requeue(i uint32, s *slot, n uint32, it *cell[T], event T) {
	f.ages.arrive(f.now)
	it.event, it.state, it.age = event, itemRequeued, f.ages.come()
	// The walk is as long as the events that came back already, which are never
	// more than UnorderedInFlight.
	link := &s.head
	var before uint32
	for left := s.count; left > 0; left-- {
		next := f.items.at(*link)
		if next.state != itemRequeued || next.seq > it.seq {
			break
		}
		before = *link
		link = &next.next
	}
	if before == s.tail || s.count == 0 {
		s.tail = n
	}
	if s.count == 0 {
		s.head, it.next = n, 0
	} else {
		it.next = *link
		*link = n
	}
	f.grown(i, s, f.sizeOf(n))
}

// grown counts an event that has come into a queue and lets its key run.
func (f *Dispatcher[T, K]) grown(i uint32, s *slot, size uint32) {
	if s.count++; s.count == 1 && s.inflight >= f.capacity {
		f.blocked++
	}
	s.bytes += int64(size)
	f.held++
	f.heldBytes += int64(size)
	f.refile(i, s)
	if s.count > 1 {
		// A key that was busy may run again: its receipt has come.
		if s.where == whereUnlisted && s.inflight < f.capacity {
			f.place(i, s)
		}
		return
	}
	f.busier(s.group)
	// The key was idle: it leaves the list or the wheel in which it was remembered.
	if s.where == whereGhost || s.flags&flagDebtor != 0 {
		f.delist(s)
	}
	if s.where == whereUnlisted {
		f.place(i, s)
	}
}

// pop takes the first event out of a queue and clears its cell, so that it can be
// collected. Its item is the caller's to drop or to send into flight. The slot
// stays in its list.
func (f *Dispatcher[T, K]) pop(i uint32, s *slot, it *cell[T]) T {
	var zero T
	n, size := s.head, f.sizeOf(s.head)
	event := it.event
	it.event = zero
	if f.latest != nil && it.state == itemQueued {
		f.forget(subKey{i, f.cfg.SubKey(event)}, n)
	}
	s.head, it.next = it.next, 0
	if s.count--; s.count == 0 {
		if s.inflight >= f.capacity {
			f.blocked--
		}
		s.head, s.tail = 0, 0
		f.quieter(s.group)
	}
	s.bytes -= int64(size)
	f.held--
	f.ages.leave(it.age)
	f.heldBytes -= int64(size)
	f.refile(i, s)
	return event
}

// dropHead discards the first event of a queue. If it was the last, the slot is
// placed anew and may be released.
func (f *Dispatcher[T, K]) dropHead(i uint32, s *slot, reason receipt.Reason, out dispatcher.Out[T]) {
	n := s.head
	it := f.items.at(n)
	event, seq := f.pop(i, s, it), it.seq
	f.dropItem(n, it)
	if s.count == 0 {
		f.delist(s)
		f.place(i, s)
	}
	f.discard(event, seq, reason, out)
}

// discard counts a discarded event by reason and tells the stage.
func (f *Dispatcher[T, K]) discard(event T, seq uint64, reason receipt.Reason, out dispatcher.Out[T]) {
	f.discarded[reason]++
	out.Discard(event, seq, reason)
}
