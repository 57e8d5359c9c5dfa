package stage

import (
	"fmt"
	"slices"

	"github.com/penstock-go/penstock/receipt"
)

// ancestry receives the end of an outlet's events. The lineage of its stage implements it,
// for inputs of a type that the outlet does not know.
type ancestry interface {
	ended(seq uint64, n int, outcome receipt.Outcome, reason receipt.Reason)
}

// follow begins to keep the lineage of inputs, when the first one has arrived that wants a
// receipt. Events delivered from now on want receipts as well, which is how tracking
// spreads downstream. Events delivered before belong to inputs that want none.
func (e *engine[In, Out]) follow() {
	if e.lineage != nil {
		return
	}
	e.lineage = new(lineage[In])
	e.out.lineage = e.lineage
	for _, s := range e.out.subs {
		if s != nil {
			e.out.track(s)
		}
	}
}

// descend enters the origins that a handler has named, and the events it has
// emitted from place start on, into the lineage. in is the handler's chunk; it
// is empty for handlers other than HandleEvents. Without a lineage only failures are
// taken.
func (e *engine[In, Out]) descend(in inputs[In], start int) {
	// l is nil until the first input wants a receipt; then only em.failures can be told.
	em, l := &e.out.emit, e.lineage
	end := len(em.buf)
	if !em.told() {
		em.tracked = false
		if in.n > 0 {
			l.add(e.out.nextSeq+uint64(start), end-start, in, nil)
		}
		return
	}
	defer em.forget()
	// Held values of another stage would name slots that mean something else here.
	if em.foreign != "" {
		e.misused(em.foreign, "an input of another stage", "what Hold of the same stage has returned")
		return
	}
	if em.wrong != "" {
		e.misnamed(em.wrong, em.wrongAt, in.n)
		return
	}
	if l != nil && em.onlyEach(start, end, in.n) {
		l.addEach(e.out.nextSeq+uint64(start), in)
		return
	}
	// taken marks the inputs that have an end of their own; the emitted events belong to
	// the others.
	taken := e.takenInputs(in.n)
	for _, f := range em.failures {
		e.failedAlone(in, f, taken)
	}
	for _, f := range em.fresh {
		if f.input < 0 || f.input >= in.n {
			e.misnamed("Hold", f.input, in.n)
			return
		}
		if taken[f.input] {
			e.misused("Hold", f.input, "an event that is not held already and has not failed")
			return
		}
		// The slots are few: as many as were ever held at once.
		for len(l.held) <= int(f.slot) {
			l.held = append(l.held, inputs[In]{})
		}
		l.held[f.slot] = in.part(f.input, 1)
		taken[f.input] = true
	}
	// Ends come after fresh holds: an input may be held and finished in one call.
	for _, h := range em.ends {
		outcome, reason := outcomeOf(h.err)
		if h.err != nil && h.err != ErrWithdrawn {
			e.countFailure(h.err)
		}
		l.takeHeld(h.slot).finish(outcome, reason)
	}
	if e.isOver() || l == nil {
		return
	}
	if em.byInput(start, end, taken) {
		e.descendEach(in, taken)
	} else {
		e.descendAll(in, start, taken)
	}
}

// onlyEach reports whether the one thing that was said is that each of the n inputs has one
// of the events emitted from start to end, which needs no look at single events.
func (o *origins) onlyEach(start, end, n int) bool {
	return len(o.marks) == 1 && o.marks[0].each && o.marks[0].at == start && o.marks[0].input == 0 && end-start == n &&
		len(o.failures) == 0 && len(o.fresh) == 0 && len(o.ends) == 0
}

// byInput reports whether the marks name the input of every event emitted from start to
// end, input by input, in ascending order. Events for a taken input, which has failed or
// is held, make it false, and so does an input that is named again after held ones: its
// events would be two groups, and it would have two receipts.
func (o *origins) byInput(start, end int, taken []bool) bool {
	if len(o.marks) == 0 || o.marks[0].at != start {
		return false
	}
	last, apart := -1, false
	for i, m := range o.marks {
		_, to := o.events(i, end)
		switch {
		case m.held:
			apart = true
		case m.each:
			n := to - m.at
			if m.input < 0 || m.input+max(n, 1) > len(taken) || n > 0 && (m.input <= last || slices.Contains(taken[m.input:m.input+n], true)) {
				return false
			}
			if n > 0 {
				last, apart = m.input+n-1, true // it is complete
			}
		case m.input < last || m.input == last && apart || m.input < 0 || m.input >= len(taken) || taken[m.input] && to > m.at:
			return false
		default:
			last, apart = m.input, false
		}
	}
	return true
}

// descendEach enters the origins named with From and For: each event belongs to the inputs
// of the last mark before it. Inputs that are not taken and have no event are finished as
// done.
func (e *engine[In, Out]) descendEach(in inputs[In], taken []bool) {
	em, l, first := &e.out.emit, e.lineage, e.out.nextSeq
	for i := 0; i < len(em.marks); i++ {
		m := em.marks[i]
		for m.names() && i+1 < len(em.marks) && em.marks[i+1].names() && em.marks[i+1].input == m.input {
			// A handler may call From before each event of one input.
			i++ // the same input is named again
		}
		_, to := em.events(i, len(em.buf))
		seq, n := first+uint64(m.at), to-m.at
		switch {
		case m.held:
			e.descendHeld(seq, n, m)
		case m.each:
			l.addEach(seq, in.part(m.input, n))
			for k := range n {
				taken[m.input+k] = true
			}
		// One event for one input is the usual case, for which addEach keeps no group of
		// its own.
		case n == 1:
			l.addEach(seq, in.part(m.input, 1))
			taken[m.input] = true
		case n > 1:
			l.add(seq, n, in.part(m.input, 1), nil)
			taken[m.input] = true
		}
	}
	for i := 0; i < in.n; i++ { // nothing was emitted for the rest
		from := i
		for i < in.n && !taken[i] {
			i++
		}
		if i > from {
			in.part(from, i-from).finish(receipt.Done, "")
		}
	}
}

// descendHeld enters n events, from seq on, that were emitted for the held inputs of a mark.
// A stage that holds each input for itself names one of them at a time, and costs no slice.
func (e *engine[In, Out]) descendHeld(seq uint64, n int, m mark) {
	if m.hi-m.lo != 1 {
		e.lineage.add(seq, n, inputs[In]{}, e.heldInputs(m))
		return
	}
	in := e.lineage.takeHeld(e.out.emit.released[m.lo])
	if n == 1 && in.n == 1 {
		e.lineage.addEach(seq, in)
		return
	}
	e.lineage.add(seq, n, in, nil)
}

// descendAll enters all emitted events as belonging to all inputs that are not taken, and
// to the held ones that were released. Without any event these inputs are finished.
func (e *engine[In, Out]) descendAll(in inputs[In], start int, taken []bool) {
	// The slice is kept by the group, and so is not used again.
	all := e.rest(in, taken)
	for i, m := range e.out.emit.marks {
		if m.held {
			all = append(all, e.heldInputs(m)...)
			continue
		}
		from, to := e.out.emit.events(i, len(e.out.emit.buf))
		if last, method := m.lastNamed(to - from); last < 0 || last >= in.n {
			e.misnamed(method, last, in.n)
			return
		}
	}
	n := len(e.out.emit.buf) - start
	// A stage that gets the receipts of what it emits may keep the account itself.
	if n > 0 && in.n > 0 && len(all) == 0 && e.do.receipts == nil {
		e.warnUnowned(n)
	}
	e.lineage.add(e.out.nextSeq+uint64(start), n, inputs[In]{}, all)
}

// warnUnowned logs events that were emitted by a call whose inputs have all failed or are
// held for others: no input waits for them, and if they are lost no source has them again.
func (e *engine[In, Out]) warnUnowned(n int) {
	e.in.unowned.add(n, nil)
	e.logTallies(false)
}

// heldInputs returns the inputs in the slots that a mark names.
func (e *engine[In, Out]) heldInputs(m mark) []inputs[In] {
	list := make([]inputs[In], 0, m.hi-m.lo)
	for _, slot := range e.out.emit.released[m.lo:m.hi] {
		list = append(list, e.lineage.takeHeld(slot))
	}
	return list
}

// rest returns the inputs of a chunk that are not taken, as runs.
func (e *engine[In, Out]) rest(in inputs[In], taken []bool) (runs []inputs[In]) {
	for i := 0; i < in.n; i++ {
		if taken[i] {
			continue
		}
		from := i
		for i+1 < in.n && !taken[i+1] {
			i++
		}
		runs = append(runs, in.part(from, i+1-from))
	}
	return runs
}

// takenInputs returns a cleared mark for each input of a chunk. The slice is valid until
// the next call.
func (e *engine[In, Out]) takenInputs(n int) []bool {
	if cap(e.taken) < n {
		e.taken = make([]bool, n)
	}
	e.taken = e.taken[:n]
	clear(e.taken)
	return e.taken
}

// failedAlone takes one input that failed, which need not want a receipt.
func (e *engine[In, Out]) failedAlone(in inputs[In], f failure, taken []bool) {
	if f.input < 0 || f.input >= in.n {
		e.misnamed("Fail", f.input, in.n)
		return
	}
	if taken[f.input] {
		return // once is enough
	}
	taken[f.input] = true
	outcome, reason := outcomeOf(f.err)
	if f.err != ErrWithdrawn {
		e.countFailure(f.err)
	}
	in.part(f.input, 1).finish(outcome, reason)
}

// countFailure counts an input that failed alone and logs it, at most one line a second.
func (e *engine[In, Out]) countFailure(err error) {
	e.in.failures.add(1, err)
	e.logTallies(false)
}

// descendOutside enters what handlers other than HandleEvents have named: they have no
// chunk, and can only name held inputs.
func (e *engine[In, Out]) descendOutside() {
	e.running = "Emit"
	e.descend(inputs[In]{}, 0)
}

// misnamed stops the stage of a handler that has named an unknown input.
func (e *engine[In, Out]) misnamed(method string, i, n int) {
	e.fail(misnamed(e.name, method, i, n))
}

// misnamed returns the error for a method of an emitter that got the index of no input.
func misnamed(stage, method string, i, n int) error {
	return ownerOf(stage).Refuse("Emitter."+method, i, fmt.Sprintf("the index of one of the %d events of the call", n))
}

// misused stops the stage of a handler that has passed a wrong value to a method
// of its emitter.
func (e *engine[In, Out]) misused(method string, value any, allowed string) {
	e.fail(ownerOf(e.name).Refuse("Emitter."+method, value, allowed))
}

// releaseHeld makes the handler pass on held inputs when nothing more can arrive, and
// gives back the rest: their source has them again. It runs once, before the stage is dry.
func (e *engine[In, Out]) releaseHeld() {
	em := &e.out.emit
	if e.do.busy == nil {
		e.flush() // otherwise works has called it
	}
	if em.Len() > 0 || em.told() {
		e.again = true
		e.out.serve()
	}
	if e.lineage == nil || em.holding == 0 {
		return
	}
	// The stage gives them back rather than finish what was never emitted.
	e.again = true // a subscription may have waited for these
	unsent := make(map[*Subscription[In]]int)
	for i := range em.slots {
		if s := &em.slots[i]; s.used {
			em.free("Finish", Held{by: &em.origins, slot: uint32(i) + 1, gen: s.gen})
			in := e.lineage.takeHeld(uint32(i))
			in.finish(receipt.Abandoned, "")
			unsent[in.sub] += in.n
		}
	}
	em.forget()
	given := 0
	for s, n := range unsent {
		switch {
		case s == nil: // held by a call that has failed
		case s.bereft || s.pending != nil && !s.up.postAsk(s, 0, 0, nil, s.takePending()):
			e.in.unhandled += int64(n)
		default:
			given += n
		}
	}
	if given > 0 {
		e.log.Warn("events still held at the end, given back", "stage", e.name, "events", given)
	}
}

// countHeld counts, at the end of the stage, the inputs that are still held and whose
// producer had stopped before: it does not count them as abandoned.
func (e *engine[In, Out]) countHeld() {
	if e.out == nil || e.lineage == nil {
		return
	}
	for i, s := range e.out.emit.slots {
		if !s.used || i >= len(e.lineage.held) {
			continue // free, or held by a call that has failed
		}
		if in := e.lineage.takeHeld(uint32(i)); in.sub != nil && in.sub.bereft {
			e.in.unhandled += int64(in.n)
		}
	}
}
