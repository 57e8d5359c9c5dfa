package stage

import "slices"

// Emitter takes the events that a handler emits. It belongs to one stage and
// may be used only inside that stage's handlers, any of them; the events are
// dispatched when the handler returns.
type Emitter[T any] struct {
	buf []T
}

// Emit emits one event.
func (e *Emitter[T]) Emit(event T) { e.buf = append(e.buf, event) }

// EmitAll emits copies of events, in order.
func (e *Emitter[T]) EmitAll(events []T) { e.buf = append(e.buf, events...) }

// Slots emits n events that the caller fills in: the slice answered is where
// they will be read from. It saves the copy that Emit costs. The slots hold
// whatever was there before, and are valid until the next call on e.
func (e *Emitter[T]) Slots(n int) []T {
	at := len(e.buf)
	e.buf = slices.Grow(e.buf, n)[:at+n]
	return e.buf[at:]
}

// Len is how many events were emitted since they were last dispatched.
func (e *Emitter[T]) Len() int { return len(e.buf) }
