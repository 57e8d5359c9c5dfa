package fair

// newKey makes the slot of an unknown key, in the group of the event's tenant,
// with all its credits. The slot is unlisted and has no event. A key that was
// parked without a slot is parked.
func (f *Dispatcher[T, K]) newKey(key K, hash uint32, event T) (uint32, *slot) {
	group := uint32(rootGroup)
	if f.cfg.Tenant != nil {
		group = f.tenant(event)
	}
	if key != key {
		f.misused("key") // a NaN: each of its events makes a key of its own
	}
	i, s := f.newSlot()
	s.hash = hash
	s.group = group
	s.class = f.classOf("Class", f.cfg.Class, event)
	f.greet(s)
	g := f.group(group)
	if g.members++; g.owner != 0 {
		if t := f.slots.at(g.owner); t.where == whereGhost {
			f.delist(t) // not idle any more, even if its key cannot be served
		}
	}
	f.index.insert(key, hash, i)
	if len(f.absent) > 0 {
		if _, ok := f.absent[key]; ok {
			delete(f.absent, key)
			s.flags |= flagParked
		}
	}
	return i, s
}

// greet gives a slot all its credits, or the tag of a member that has been idle.
func (f *Dispatcher[T, K]) greet(s *slot) {
	if f.measured {
		f.timesOf(s).tag = f.group(s.group).vtime - f.burst()
		return
	}
	s.credits = int32(f.cfg.Credits)
	s.round = f.class(s.group, s.class).round - 1 // it has not had its turn
}

// tenant returns the group of the event's tenant, and makes its slot and group if
// the tenant is unknown.
func (f *Dispatcher[T, K]) tenant(event T) uint32 {
	name := f.cfg.Tenant(event)
	hash := f.tenants.hash(name)
	i := f.tenants.find(name, hash)
	if i == 0 {
		var t *slot
		i, t = f.newSlot()
		t.flags = flagTenant
		t.hash = hash
		t.group = rootGroup
		t.class = f.classOf("TenantClass", f.cfg.TenantClass, event)
		t.head = f.newGroup(i)
		f.greet(t)
		f.tenants.insert(name, hash, i)
	}
	return f.slots.at(i).head
}

// newGroup returns an empty group of the tenant with slot owner, 0 for rootGroup.
// A freed group's heap keeps its memory.
func (f *Dispatcher[T, K]) newGroup(owner uint32) uint32 {
	n := f.free
	if n == 0 {
		f.top++
		n = f.top
		f.groups.reach(n)
		f.classes.reach((n+1)*f.nclass - 1)
		f.levels.reach((n+1)*levelsOf(f.credits) - 1)
	} else {
		f.free = f.group(n).owner
	}
	g := f.groups.at(n)
	if n == rootGroup {
		f.root, f.rootClass = g, f.classes.at(rootGroup*f.nclass)
	}
	// Everything begins anew: the number may have belonged to another tenant.
	*g = group{owner: owner, heap: g.heap[:0]}
	for c := range uint8(f.nclass) {
		*f.class(n, c) = weightClass{}
	}
	return n
}

// place puts an unlisted slot into the list where it belongs. No other function
// decides that: to change a slot, take it off its list, change it, place it. place
// may release an idle slot: do not use it afterwards without looking at its count.
func (f *Dispatcher[T, K]) place(i uint32, s *slot) {
	switch {
	case s.flags&flagParked != 0:
	case s.count == 0:
		s.flags &^= flagPaced
		if f.pauses {
			f.timesOf(s).until = 0 // what has failed is not there any more
		}
		if s.inflight == 0 {
			f.rest(i, s)
		}
	case s.inflight >= f.capacity:
	default:
		if f.rated {
			if at := f.allowedAt(s); at > f.now {
				s.flags |= flagPaced
				f.delay(i, s, at)
				return
			}
		}
		// Looked at anew when either is over.
		if f.pauses && f.timesOf(s).until > f.now {
			f.delay(i, s, f.timesOf(s).until)
			return
		}
		f.list(i, s)
	}
}

// rest remembers an idle slot, of a key or a tenant, while there is something to
// remember: a debt to its rate limit (in the wheel) or credits to earn (as a
// ghost). Otherwise it releases the slot.
func (f *Dispatcher[T, K]) rest(i uint32, s *slot) {
	switch {
	case f.rated && f.timesOf(s).rate.Ready(0) > f.now && f.debtors < f.maxGhosts:
		s.flags |= flagDebtor
		f.debtors++
		f.delay(i, s, f.timesOf(s).rate.Ready(0))
	case f.unspent(s):
		f.release(i, s)
	default:
		f.ghost(i, s)
		if f.nghosts > f.maxGhosts {
			f.forgive(1)
		}
	}
}

// forgivePerIdle is the number of idle keys forgotten at once when workers are
// idle.
const forgivePerIdle = 64

// forgive forgets the n slots that have been idle for longest, with or without
// their credits: if they come back they begin with all of them.
func (f *Dispatcher[T, K]) forgive(n int) {
	for ; n > 0 && f.ghosts.head != 0; n-- {
		i := f.ghosts.head
		s := f.slots.at(i)
		f.unghost(s)
		f.release(i, s)
	}
}

// sweep looks at the n slots that have been idle for longest and forgets those
// that have their credits back. It stops at the first that has not, if rounds are
// counted in one place only: those after it have been idle for fewer rounds. With
// several groups or classes that slot goes to the end, and the next is looked at.
func (f *Dispatcher[T, K]) sweep(n int) {
	for ; n > 0 && f.ghosts.head != 0; n-- {
		i := f.ghosts.head
		s := f.slots.at(i)
		if f.earned(s) {
			f.unghost(s)
			f.release(i, s)
		} else if f.top == 1 && f.nclass == 1 {
			return // those after it have less
		} else {
			f.unghost(s)
			f.ghost(i, s)
		}
	}
}

// release forgets an idle, unlisted slot. Its index may belong to another key with
// the next event. The last key of a tenant lets the tenant rest too.
func (f *Dispatcher[T, K]) release(i uint32, s *slot) {
	g := f.group(s.group)
	if s.flags&flagTenant != 0 {
		f.tenants.remove(s.hash, i)
		f.group(s.head).owner = f.free
		f.free = s.head
		f.dropSlot(i, s)
	} else {
		f.index.remove(s.hash, i)
		f.dropSlot(i, s)
		g.members--
		if g.owner != 0 && g.members == 0 {
			f.rest(g.owner, f.slots.at(g.owner))
		}
	}
	if f.live == 0 {
		f.trim()
	}
}

// trim releases memory when no key is known: a peak of a million keys is not paid
// for until the process ends. Nothing is in flight then, since a key in flight has
// a slot.
func (f *Dispatcher[T, K]) trim() {
	const most = keepChunks * chunk
	if f.topSlot < most && f.topItem < most {
		return
	}
	f.topSlot, f.freeSlot = 0, 0
	f.topItem, f.freeItems = 0, 0
	f.slots.trim(keepChunks)
	f.times.trim(keepChunks)
	f.items.trim(keepChunks)
	f.freed.trim(keepChunks)
	f.extras.trim(keepChunks)
	f.index.trim(keepChunks)
	f.tenants.trim(keepChunks)
}
