package feed

import "context"

// Context returns the context of the reader's foreign code, which is cancelled
// when the reader must end.
func (r *Reader[T]) Context() context.Context { return r.f.ctx }

// Permit waits until something may be read and returns how much, or 0 if the
// reader must end. What was handed over and not emitted counts as read.
func (r *Reader[T]) Permit() int {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	// Demand and the end of the feed signal more; there is one reader, so a signal
	// is enough.
	for f.owed <= f.ready.Len() && !f.quit {
		f.more.Wait()
	}
	if f.quit {
		return 0
	}
	return f.owed - f.ready.Len()
}

// Put hands over one event. It waits until there is demand for another one and
// then returns true; false means that the reader must end. Do not call Permit
// besides.
func (r *Reader[T]) Put(event T) bool {
	f := r.f
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		f.discard(event)
		return false
	}
	f.ready.Push(event)
	more := f.owed > f.ready.Len() && !f.quit
	f.wakeAndUnlock()
	return more || r.Permit() > 0
}

// PutAll hands over copies of events, at most as many as Permit has allowed. It
// does not wait.
func (r *Reader[T]) PutAll(events []T) {
	f := r.f
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		for _, event := range events {
			f.discard(event)
		}
		return
	}
	f.ready.PushAll(events)
	f.wakeAndUnlock()
}

// batch bounds how many elements of a channel are received before they are
// handed over.
const batch = 256

// Receive is the reader of a channel: add appends the events of an element to
// those that are handed over next. An element may hold several, which may then
// exceed the permit. It returns nil when the channel is closed, and an error of
// add after the events before it.
func Receive[E, T any](r *Reader[T], ch <-chan E, add func([]T, E) ([]T, error)) error {
	var events []T
	for {
		n := min(r.Permit(), batch)
		if n == 0 {
			return nil
		}
		var err error
		select {
		case e, ok := <-ch:
			if !ok {
				return nil
			}
			events, err = add(events[:0], e)
		case <-r.f.quitting:
			return nil
		}
		// What waits in the channel already is taken along, so that the lock is
		// taken once for a batch. Nothing is waited for: the events so far must
		// not be late.
		open, waits := true, false
		for err == nil && open && !waits && len(events) < n {
			var e E
			select {
			case e, open = <-ch:
				if open {
					events, err = add(events, e)
				}
			default:
				waits = true
			}
		}
		r.PutAll(events)
		// The buffer is used again and must not keep events alive.
		clear(events)
		if err != nil || !open {
			return err
		}
	}
}
