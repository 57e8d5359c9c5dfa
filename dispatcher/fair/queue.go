package fair

import (
	"math"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// enqueue takes one event into the queue of its key. It answers false if the
// source is to be paused before that event.
func (f *Dispatcher[T, K]) enqueue(event T, seq uint64, out dispatcher.Out[T]) bool {
	size := f.size(event)
	key := f.key(event)
	hash := f.index.hash(key)
	i, s := f.find(key, hash)
	if f.held >= f.cfg.MaxEvents || f.heldBytes+int64(size) > f.cfg.MaxBytes || i != 0 && f.keyFull(s, size) {
		f.handOut(out) // what can go need not be dropped
		i, s = f.find(key, hash)
		if f.cfg.Overflow == PauseSource && f.held > 0 &&
			(f.held >= f.cfg.MaxEvents || f.heldBytes+int64(size) > f.cfg.MaxBytes) {
			return false
		}
		full := i != 0 && f.keyFull(s, size)
		switch {
		case full && f.cfg.KeyOverflow == PauseOnFullKey && s.count > 0:
			return false
		case full && f.cfg.KeyOverflow == DropNewest:
			f.discard(event, seq, receipt.KeyFull, out)
			return true
		}
	}
	if int64(size) > f.cfg.KeyMaxBytes && f.cfg.KeyOverflow != PauseOnFullKey {
		f.discard(event, seq, receipt.KeyFull, out)
		return true
	}
	if i == 0 {
		i, s = f.newKey(key, hash, event)
	}
	if f.latest == nil || !f.conflate(i, s, event, seq, size, out) {
		f.append(i, s, event, seq, size)
	}
	if f.cfg.KeyOverflow == DropOldest || f.cfg.KeyOverflow == Conflate {
		for s.count > uint32(f.cfg.KeyMaxEvents) || s.bytes > f.cfg.KeyMaxBytes {
			f.dropHead(i, s, receipt.KeyFull, out)
		}
	}
	if f.cfg.Overflow == DropLongest {
		for f.held > f.cfg.MaxEvents || f.heldBytes > f.cfg.MaxBytes {
			victim := f.depths.longest()
			if victim == 0 {
				// Nobody has more than one: then somebody of the largest tenant
				// goes, so that no tenant fills the room with invented keys.
				victim = f.crowded(s.group)
			}
			if victim == 0 {
				// The new one goes. What was put back beyond the bound stays.
				f.dropHead(i, s, receipt.QueueFull, out)
				break
			}
			f.dropHead(victim, f.slots.at(victim), receipt.QueueFull, out)
		}
	}
	return true
}

func (f *Dispatcher[T, K]) find(key K, hash uint32) (uint32, *slot) {
	if i := f.index.find(key, hash); i != 0 {
		return i, f.slots.at(i)
	}
	return 0, nil
}

func (f *Dispatcher[T, K]) keyFull(s *slot, size uint32) bool {
	return s.count >= uint32(f.cfg.KeyMaxEvents) || s.bytes+int64(size) > f.cfg.KeyMaxBytes
}

func (f *Dispatcher[T, K]) size(event T) uint32 {
	if f.cfg.Size == nil {
		return f.sizeof
	}
	return uint32(min(max(f.cfg.Size(event), 0), math.MaxUint32))
}

// append puts a new event at the end of a queue.
func (f *Dispatcher[T, K]) append(i uint32, s *slot, event T, seq uint64, size uint32) {
	n, it := f.newItem()
	it.seq, it.key, it.size, it.state = seq, i, size, itemQueued
	if f.mortal {
		it.deadline = f.deadline(event)
	}
	f.events.reach(n)
	*f.events.at(n) = event
	if s.count == 0 {
		s.head = n
	} else {
		f.items.at(s.tail).next = n
	}
	s.tail = n
	if f.latest != nil {
		f.latest[subKey{i, f.cfg.SubKey(event)}] = n
	}
	f.grown(i, s, it)
}

// requeue puts an event that was in flight back before all that were not.
// Events of one key that come back together keep their order.
func (f *Dispatcher[T, K]) requeue(i uint32, s *slot, n uint32, it *item, event T) {
	*f.events.at(n) = event
	it.state = itemRequeued
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
	f.grown(i, s, it)
}

// grown counts an event that has come into a queue and lets its key run.
func (f *Dispatcher[T, K]) grown(i uint32, s *slot, it *item) {
	s.count++
	s.bytes += int64(it.size)
	f.held++
	f.heldBytes += int64(it.size)
	f.refile(i, s)
	if s.count > 1 {
		if s.where == whereUnlisted && s.inflight < f.capacity {
			f.place(i, s)
		}
		return
	}
	f.busier(s.group)
	if s.where == whereGhost || s.flags&flagDebtor != 0 {
		f.delist(s)
	}
	if s.where == whereUnlisted {
		f.place(i, s)
	}
}

// pop takes the first event out of a queue. Its item is the caller's.
func (f *Dispatcher[T, K]) pop(i uint32, s *slot, it *item) T {
	var zero T
	n := s.head
	at := f.events.at(n)
	event := *at
	*at = zero
	if f.latest != nil && it.state == itemQueued {
		f.forget(subKey{i, f.cfg.SubKey(event)}, n)
	}
	s.head, it.next = it.next, 0
	if s.count--; s.count == 0 {
		s.head, s.tail = 0, 0
		f.quieter(s.group)
	}
	s.bytes -= int64(it.size)
	f.held--
	f.heldBytes -= int64(it.size)
	f.refile(i, s)
	return event
}

// dropHead gives up the first event of a queue.
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

func (f *Dispatcher[T, K]) discard(event T, seq uint64, reason receipt.Reason, out dispatcher.Out[T]) {
	f.discarded[reason]++
	out.Discard(event, seq, reason)
}
