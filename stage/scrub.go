package stage

import "reflect"

// The slices in which events travel are used again, and hold the events of before
// until then. A stage that is about to rest clears them, so that it keeps no
// handled event alive; while it works they are overwritten soon anyway.

// scrub clears what the stage would keep alive while it rests: the emitter's slice, the
// spare batches of its subscribers, and the emptied batches that were not returned to its
// producers. Types without pointers need none of it.
func (e *engine[In, Out]) scrub() {
	if e.out != nil && e.out.emit.scrub {
		e.out.scrub()
	}
	if e.in == nil || !e.in.scrubs {
		return
	}
	for _, s := range e.in.subs {
		// Those that were there the last time are clear, and may have left the caches.
		for b := s.spent; b != s.scrubbed; b = b.next {
			b.scrub(len(b.events))
		}
		s.scrubbed = s.spent
	}
}

// scrub clears the array of an emptied batch that had n events. The caller owns the batch.
func (b *batch[T]) scrub(n int) {
	clear(b.events[:max(n, b.dirty)])
	b.dirty = 0
}

// scrub clears the emitter's slice and the spare batches of soiled subscriptions. The
// soiled ones are a list, so that a stage with many idle subscribers does not look at all
// of them.
func (o *outlet[T]) scrub() {
	clear(o.emit.buf[:o.emit.dirty])
	o.emit.dirty = 0
	for i, s := range o.soiled {
		for b := s.spare; b != nil; b = b.next {
			b.scrub(0)
		}
		s.soiled = false
		o.soiled[i] = nil
	}
	o.soiled = o.soiled[:0]
}

// hasPointers reports whether a value of type T refers to other memory. For other
// types clearing would only cost time.
func hasPointers[T any]() bool { return refers(reflect.TypeFor[T]()) }

// refers reports whether a value of type t refers to other memory.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
		return false
	// A string refers to its bytes.
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.String, reflect.UnsafePointer:
		return true
	}
	return false
}
