package stage

import (
	"slices"
	"sync/atomic"
)

// Emitter takes the events that a handler emits. It belongs to one stage and
// may be used only inside that stage's handlers, any of them; the events are
// dispatched when the handler returns. A stage whose emitter is used while no
// handler runs fails with ErrOutside.
//
// At a producer-consumer the emitter also notes the inputs of each event, so that
// an input gets its receipt when all that was emitted for it has one. By default
// all that HandleEvents emits belongs to all the events that it was given. From,
// Fail, Hold, For and Finish say it more exactly. They cost nothing where no source
// wants receipts.
type Emitter[T any] struct {
	buf   []T
	scrub bool // dispatched events are cleared when the stage rests
	dirty int  // places of buf's array that may hold events

	passed uint64 // events that have left buf since the start

	phase atomic.Uint32
	wake  func()
	origins
}

// The phases of a stage that has an emitter.
const (
	handling uint32 = iota // a handler may be running
	resting                // the stage waits for mail: none is
	misused                // the emitter was used meanwhile
)

// Emit emits one event.
func (e *Emitter[T]) Emit(event T) {
	if len(e.buf) == 0 {
		e.begin()
	}
	e.buf = append(e.buf, event)
}

// EmitAll emits copies of events, in order.
func (e *Emitter[T]) EmitAll(events []T) {
	e.begin()
	e.buf = append(e.buf, events...)
}

// name is begin for the methods that name inputs, before the first of them.
func (e *Emitter[T]) name() {
	if !e.said {
		e.begin()
	}
}

// begin wakes a stage that rests: the caller is not one of its handlers, and the
// stage fails with ErrOutside. It may be awake before the caller has emitted anything.
//
//go:noinline
func (e *Emitter[T]) begin() {
	// One word for both, so that a stage which is awake by then sees it too.
	if e.phase.Load() == resting && e.phase.CompareAndSwap(resting, misused) {
		e.wake()
	}
}

// Slots emits n events that the caller fills in: they are read from the returned
// slice. It saves the copy that Emit costs. The slots hold whatever was there
// before, and are valid until the next call on e.
func (e *Emitter[T]) Slots(n int) []T {
	e.begin()
	at := len(e.buf)
	e.buf = slices.Grow(e.buf, n)[:at+n]
	return e.buf[at:]
}

// drop removes the first n events.
func (e *Emitter[T]) drop(n int) {
	e.dirty = max(e.dirty, len(e.buf))
	e.buf = e.buf[:copy(e.buf, e.buf[n:])]
	for i := range e.marks {
		e.marks[i].at -= n
	}
}

// Len returns the number of events emitted since they were last dispatched.
func (e *Emitter[T]) Len() int { return len(e.buf) }

// Emitted returns the number of events emitted since the stage has started. It is the
// number that the next event has in receipts, see [Receipt].
func (e *Emitter[T]) Emitted() uint64 { return e.passed + uint64(len(e.buf)) }

// From makes the events that HandleEvents emits from now on belong to events[i]
// alone, until the next call of From, FromEach or For or until the handler returns.
// Inputs are named in ascending order; otherwise, and if something was emitted
// before the first call, all that HandleEvents emits belongs to all its events.
// An input for which nothing is emitted is finished when the handler returns.
// An index that names no event of the call stops the stage, as does a call from
// another handler.
func (e *Emitter[T]) From(i int) {
	switch {
	case e.tracked:
		e.name()
		e.said = true
		e.marks = append(e.marks, mark{at: len(e.buf), input: i})
	case uint(i) >= uint(e.chunk):
		e.name()
		e.misname("From", i)
	}
}

// FromEach makes the events that HandleEvents emits from now on belong to events[i],
// events[i+1] and so on, one each, until the next call of From, FromEach or For or until
// the handler returns. It says as much as a call of From before each of these events, and
// costs nothing for each. Inputs are named as for From.
func (e *Emitter[T]) FromEach(i int) {
	switch {
	case e.tracked:
		e.name()
		e.said = true
		if n := len(e.marks); n > 0 && e.marks[n-1].each && i > 0 && e.marks[n-1].input-e.marks[n-1].at == i-len(e.buf) {
			return // the last mark says so already
		}
		e.marks = append(e.marks, mark{at: len(e.buf), input: i, each: true})
	case uint(i) >= uint(e.chunk):
		e.name()
		e.misname("FromEach", i)
	}
}

// Fail makes events[i] of HandleEvents fail alone: its outcome is Failed, or
// Discarded if err is a *DiscardError. The stage counts and logs it, and lives on.
// Other handlers have no events[i]: a call from there stops the stage.
func (e *Emitter[T]) Fail(i int, err error) {
	e.name()
	e.said = true
	e.failures = append(e.failures, failure{i, err})
}

// Hold keeps events[i] of HandleEvents for events that are emitted later: by a
// window, a join or a debounce. The input has no receipt until the returned value
// is passed to For or Finish, in this call or in any later handler. When nothing
// more can arrive, HandleFlush can finish the inputs that are still held; after
// that they are given back, and their source has them again. An input cannot be held
// twice, nor fail with Fail while it is held. An index that names no event of the
// call stops the stage, as does a call from another handler.
func (e *Emitter[T]) Hold(i int) Held {
	if !e.tracked {
		if uint(i) >= uint(e.chunk) {
			e.name()
			e.misname("Hold", i)
		}
		return Held{}
	}
	e.name()
	return e.hold(i)
}

// For makes the events that are emitted from now on, until the next call of
// From or For or until the handler returns, belong to held inputs, which are
// held no longer. A value that was passed before is ignored; one of another stage
// stops this one.
func (e *Emitter[T]) For(held ...Held) {
	e.name()
	e.release(len(e.buf), held)
}

// Finish gives held inputs their receipt without an event: Done for a nil error,
// otherwise as Fail does.
func (e *Emitter[T]) Finish(err error, held ...Held) {
	e.name()
	for _, h := range held {
		if e.free("Finish", h) {
			e.said = true
			e.ends = append(e.ends, heldEnd{h.slot - 1, err})
		}
	}
}
