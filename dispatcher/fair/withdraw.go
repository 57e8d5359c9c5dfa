package fair

// Withdraw implements [dispatcher.Withdrawer]: the events leave the queues of their keys,
// those of parked keys too. Events in flight stay as they are.
func (f *Dispatcher[T, K]) Withdraw(match func(seq uint64) bool, gone func(seq uint64)) {
	top := f.topSlot // f.trim may set it to 0 when the last slot is released
	for i := uint32(1); i <= top && f.held > 0; i++ {
		s := f.slots.at(i)
		if s.where != whereFree && s.flags&flagTenant == 0 && s.count > 0 {
			f.withdraw(i, s, match, gone)
		}
	}
	f.paused = false // there may be room
}

// withdraw takes the matching events out of the queue of one key. If none is left, the slot
// is placed anew and may be released.
func (f *Dispatcher[T, K]) withdraw(i uint32, s *slot, match func(seq uint64) bool, gone func(seq uint64)) {
	var zero T
	before := s.count
	at, tail := s.head, uint32(0)
	s.head = 0
	for range before {
		it := f.items.at(at)
		next := it.next
		if !match(it.seq) {
			if tail == 0 {
				s.head = at
			} else {
				f.items.at(tail).next = at
			}
			it.next, tail = 0, at
			at = next
			continue
		}
		if f.latest != nil && it.state == itemQueued {
			f.forget(subKey{i, f.cfg.SubKey(it.event)}, at)
		}
		it.event = zero
		size := int64(f.sizeOf(at))
		s.count--
		s.bytes -= size
		f.held--
		f.ages.leave(it.age)
		f.heldBytes -= size
		gone(it.seq)
		f.dropItem(at, it)
		at = next
	}
	s.tail = tail
	if s.count == before {
		return
	}
	f.refile(i, s)
	if s.count == 0 {
		if s.inflight >= f.capacity {
			f.blocked--
		}
		f.quieter(s.group)
		f.delist(s)
		f.place(i, s)
	}
}
