package stage

// origins records the inputs of an emitter's events, as the handler has named them. The
// stage reads it when the handler has returned. It belongs to the stage's goroutine.
//
// A held input has a slot here and, at the same index, in lineage.held. A slot that is
// freed is used again only when the stage has read what named it.
type origins struct {
	said     bool // any of what follows is not empty
	tracked  bool // the events being handled want receipts
	marks    []mark
	released []uint32 // slots that marks name
	failures []failure
	ends     []heldEnd
	fresh    []freshHold
	slots    []heldSlot
	unused   []uint32 // slots
	freed    []uint32 // slots that can be used again when this has been read
	holding  int      // slots in use
	foreign  string   // the method that got an input which another stage holds
	chunk    int      // events of the HandleEvents that is running
	wrong    string   // the method that got an index outside of it
	wrongAt  int
}

// mark notes that the events emitted from place at on belong to one input of the
// chunk, or to that and those after it if each is set, one event to each. If held is set they
// belong to held inputs: those of released[lo:hi].
type mark struct {
	at     int
	input  int
	each   bool
	held   bool
	lo, hi int
}

// names reports whether m names one input for all its events.
func (m *mark) names() bool { return !m.held && !m.each }

// lastNamed returns the last input of the chunk that a mark for n events names, and the
// method that has named it.
func (m *mark) lastNamed(n int) (input int, method string) {
	if m.each {
		return m.input + max(n, 1) - 1, "FromEach"
	}
	return m.input, "From"
}

// events returns the places of the events that belong to the i-th mark; end is the length of
// the emitter.
func (o *origins) events(i, end int) (from, to int) {
	if i+1 < len(o.marks) {
		end = o.marks[i+1].at
	}
	return o.marks[i].at, end
}

// failure is an input that failed alone.
type failure struct {
	input int
	err   error
}

// heldEnd is the end of a held input for which nothing is emitted.
type heldEnd struct {
	slot uint32
	err  error
}

// freshHold is an input of the chunk that is held from now on.
type freshHold struct {
	slot  uint32
	input int
}

// heldSlot is a place for a held input. Its generation goes up when it is freed.
type heldSlot struct {
	gen  uint32
	used bool
}

// Held is an input that a producer-consumer keeps for later; see [Emitter.Hold].
// The zero value stands for an input that needs no receipt.
type Held struct {
	by   *origins
	slot uint32 // from 1 on
	gen  uint32
}

// hold takes a slot for an input of the chunk. The stage moves the input there later.
func (o *origins) hold(input int) Held {
	var slot uint32
	if n := len(o.unused); n > 0 {
		slot, o.unused = o.unused[n-1], o.unused[:n-1]
	} else {
		slot = uint32(len(o.slots))
		o.slots = append(o.slots, heldSlot{})
	}
	o.slots[slot].used = true
	o.holding++
	o.said = true
	o.fresh = append(o.fresh, freshHold{slot, input})
	return Held{by: o, slot: slot + 1, gen: o.slots[slot].gen}
}

// free frees the slot of h, which was passed to method, and reports whether h was in use.
// A zero or used h is ignored; one of another stage is noted in foreign, for which the
// stage fails.
func (o *origins) free(method string, h Held) bool {
	if h.by != o {
		if h.by != nil {
			o.said, o.foreign = true, method
		}
		return false
	}
	s := &o.slots[h.slot-1]
	if !s.used || s.gen != h.gen {
		return false
	}
	s.used = false
	s.gen++
	o.holding--
	o.freed = append(o.freed, h.slot-1)
	return true
}

// release marks the events emitted from place at on as those of held inputs.
func (o *origins) release(at int, held []Held) {
	lo := len(o.released)
	for _, h := range held {
		if o.free("For", h) {
			o.released = append(o.released, h.slot-1)
		}
	}
	// An empty mark still ends the one before it.
	if hi := len(o.released); hi > lo || o.tracked {
		o.said = true
		o.marks = append(o.marks, mark{at: at, held: true, lo: lo, hi: hi})
	}
}

// misname notes an index that names no event of the running call, where no receipts
// are wanted and nothing else would look at it.
func (o *origins) misname(method string, i int) {
	o.said, o.wrong, o.wrongAt = true, method, i
}

// told reports whether there is anything for the stage to read.
func (o *origins) told() bool { return o.said }

// forget empties what was read.
func (o *origins) forget() {
	o.said, o.tracked, o.foreign, o.wrong = false, false, "", ""
	o.marks, o.released = o.marks[:0], o.released[:0]
	clear(o.failures)
	clear(o.ends)
	o.failures, o.ends, o.fresh = o.failures[:0], o.ends[:0], o.fresh[:0]
	o.unused = append(o.unused, o.freed...)
	o.freed = o.freed[:0]
}
