package stage

import (
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/receipt"
)

// emission is how far the account of what was emitted has come. Whatever ends the stage, a
// panic in a dispatcher or a callback included, each event is counted once: as delivered,
// as discarded or as buffered. accounted ≤ counted ≤ the length of the emitter.
type emission[T any] struct {
	counted   int  // events at the front of the emitter that are counted as emitted
	accounted int  // of them, those at the front that are delivered, discarded or buffered
	swapped   bool // the emitter's slice was handed over with them

	marks  marks
	stray  []stray[T] // to be discarded at the end of the stage
	closed bool       // the stage is at its end
	err    error      // a callback has panicked since then
}

// marks are what the running Dispatch has done with its offer, by index. They are needed
// only if it does not return: collect then knows the fate of each event.
type marks struct {
	active   bool
	emission bool // the offer is what was emitted, not the front of the buffer
	spans    []run2
	given    []int32
	lost     []int32
	held     int64 // events that were held and have been given
}

// run2 is the part lo to hi-1 of an offer.
type run2 struct{ lo, hi int }

// stray is an event that is neither delivered nor buffered nor discarded.
type stray[T any] struct {
	event T
	seq   uint64
}

// begin empties the marks for a new Dispatch.
func (m *marks) begin(emission bool) {
	m.active, m.emission = true, emission
	m.spans, m.given, m.lost, m.held = m.spans[:0], m.given[:0], m.lost[:0], 0
}

// serveEmission hands out what was emitted, and buffers the rest. The events get their
// sequence numbers here. They are offered only if none is buffered before them, so that
// they stay in order. What a callback emits meanwhile stays for the next time.
func (o *outlet[T]) serveEmission() {
	events, first := o.emit.buf, o.nextSeq
	o.nextSeq += uint64(len(events))
	o.emitted += int64(len(events))
	if o.traces.of != nil {
		o.traces.emitted(events, first)
	}
	asked := o.told
	o.told = max(0, asked-len(events))
	em := &o.emission
	em.counted, em.accounted, em.swapped = len(events), 0, false
	if o.buf.len() == 0 && !o.paused {
		em.accounted = o.dispatch(events, first, true)
	}
	if n := em.accounted; n < len(events) {
		if o.store(events[n:], first+uint64(n)) && o.holder != nil {
			o.serveBuffer() // what was in the way of the others is gone
		}
		if len(events) > asked {
			o.losses.grow(o.buf.len())
		}
	}
	o.traces.pass++ // what is handed out from here on has waited
	o.endEmission()
}

// endEmission removes from the emitter what is accounted for.
func (o *outlet[T]) endEmission() {
	n := o.emission.counted
	o.emission.counted = 0
	o.emit.passed += uint64(n)
	if !o.emission.swapped {
		o.emit.drop(n)
	}
}

// collect makes strays of all events that are emitted and in no other place, after
// a Dispatch or a callback that has not returned.
func (o *outlet[T]) collect() {
	em := &o.emission
	if m := &em.marks; m.active {
		m.active = false
		n := len(o.offer.Events)
		// An event may have been given to several subscribers; it counts as delivered
		// once.
		seen := make([]bool, n)
		for _, s := range m.spans {
			for i := s.lo; i < s.hi; i++ {
				m.given = append(m.given, int32(i))
			}
		}
		for _, i := range m.given {
			if !seen[i] {
				seen[i] = true
				o.delivered++
			}
		}
		o.delivered += m.held
		for _, i := range m.lost {
			seen[i] = true
		}
		for i, event := range o.offer.Events {
			if !seen[i] {
				em.stray = append(em.stray, stray[T]{event, o.offer.First + uint64(i)})
			}
		}
		// Whether given, lost or stray: none of the offer is left where it was.
		if m.emission {
			em.accounted = n
		} else {
			o.buf.drop(n)
		}
	}
	// These were numbered, and neither taken by the dispatcher nor buffered.
	if em.counted > 0 && !em.swapped {
		first := o.nextSeq - uint64(em.counted)
		for i := em.accounted; i < em.counted; i++ {
			em.stray = append(em.stray, stray[T]{o.emit.buf[i], first + uint64(i)})
		}
	}
	o.endEmission()
	// These were emitted after the last Dispatch had begun, and have no number yet.
	for _, event := range o.emit.buf {
		em.stray = append(em.stray, stray[T]{event, o.nextSeq})
		o.emitted++
		o.nextSeq++
	}
	o.emit.drop(o.emit.Len())
}

// close discards everything that the stage still has. It can be called again after
// it was interrupted by a callback that ended the goroutine.
func (o *outlet[T]) close() {
	o.emission.closed = true
	// A source that wants receipts gets none for these: they are not done.
	o.silent = true
	if h := o.holder; h != nil {
		o.holder = nil
		h.DiscardHeld(o, receipt.Stopped)
	}
	o.collect()
	o.discardStrays()
	for o.buf.len() > 0 {
		o.discardNext(receipt.Stopped)
	}
}

// discardStrays discards the strays one by one. Each leaves the list before its callback
// runs, so that a callback that ends the goroutine does not get it twice.
func (o *outlet[T]) discardStrays() {
	em := &o.emission
	for len(em.stray) > 0 {
		s := em.stray[0]
		em.stray = em.stray[1:]
		o.Discard(s.event, s.seq, receipt.Stopped)
	}
}

// settleAccount takes in what callbacks and HandleTerminate have emitted since the
// end, and closes the account. What callbacks emit in this is only counted.
func (o *outlet[T]) settleAccount() {
	for o.emit.Len() > 0 {
		o.collect()
		o.discardStrays()
		// What the callback emits when it is told of a discard would never end otherwise.
		o.discarded = nil
	}
	// rest is 0 unless a dispatcher has broken its contract.
	rest := o.emitted - o.delivered - o.withdrawn - int64(o.buf.len())
	for _, n := range o.lost {
		rest -= n
	}
	if rest != 0 {
		// The dispatcher has lost them, or panicked over what it held.
		o.lost[receipt.Stopped] += rest
		o.losses.fresh = true
		o.log.Error("events are not accounted for", "stage", o.stage, "events", rest)
	}
}

// discardNext discards the front of the buffer.
func (o *outlet[T]) discardNext(reason receipt.Reason) {
	run, seq := o.buf.front()
	event := run[0]
	o.buf.drop(1)
	o.Discard(event, seq, reason)
}

// reportAbandoned calls Abandoned, as reportDiscard does.
func (o *outlet[T]) reportAbandoned(event T) {
	if o.orphaned == nil {
		return
	}
	if o.emission.closed {
		defer func() {
			if p := recover(); p != nil && o.emission.err == nil {
				o.emission.err = &Error{Stage: o.stage, Handler: "Abandoned", Err: crash.Of(p)}
			}
		}()
	}
	o.orphaned(event)
}

// reportDiscard calls Discarded. At the end of the stage a panic there must not
// keep the other events from being reported.
func (o *outlet[T]) reportDiscard(event T, reason receipt.Reason) {
	if o.discarded == nil {
		return
	}
	// Before the end, a panic stops the stage in the usual way: finish recovers it.
	if o.emission.closed {
		defer func() {
			if p := recover(); p != nil && o.emission.err == nil {
				o.emission.err = &Error{Stage: o.stage, Handler: "Discarded", Err: crash.Of(p)}
			}
		}()
	}
	o.discarded(event, reason)
}
