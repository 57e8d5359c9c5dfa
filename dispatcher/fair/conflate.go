package fair

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// subKey names the thing whose latest value an event is.
type subKey struct {
	key uint32
	sub string
}

// conflate replaces the queued event with the same sub-key, if there is one, by a
// newer one. The place in the queue is the older event's, the time to live the
// newer one's.
func (f *Dispatcher[T, K]) conflate(i uint32, s *slot, event T, seq uint64, size uint32, out dispatcher.Out[T]) bool {
	n, ok := f.latest[subKey{i, f.cfg.SubKey(event)}]
	if !ok {
		return false
	}
	it := f.items.at(n)
	at := f.events.at(n)
	old, oldSeq := *at, it.seq
	if f.cfg.Merge != nil {
		event = f.cfg.Merge(old, event)
		size = f.size(event)
	}
	more := int64(size) - int64(it.size)
	*at, it.seq, it.size = event, seq, size
	if f.mortal {
		it.deadline = f.deadline(event)
	}
	s.bytes += more
	f.heldBytes += more
	f.refile(i, s)
	f.discard(old, oldSeq, receipt.Conflated, out)
	return true
}

// forget removes the note that an item is the latest of its sub-key.
func (f *Dispatcher[T, K]) forget(sub subKey, item uint32) {
	if f.latest[sub] == item {
		delete(f.latest, sub)
	}
}
