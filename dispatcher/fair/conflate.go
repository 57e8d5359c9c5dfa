package fair

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// subKey names the thing whose latest value an event is: a key's slot and the
// SubKey within it. The slot's number rather than the key keeps the map free of K;
// an entry goes when its event leaves the queue, so before the slot can belong to
// another key.
type subKey struct {
	key uint32
	sub string
}

// conflate replaces the queued event with the same sub-key, if there is one, by a
// newer one. The place in the queue and the age in Snapshot.Oldest are the older
// event's, the time to live the newer one's. It reports whether there was one. An event in flight, or one that
// came back from there, is never replaced: a consumer has seen it.
func (f *Dispatcher[T, K]) conflate(i uint32, s *slot, event T, seq uint64, size uint32, out dispatcher.Out[T]) bool {
	sub := f.cfg.SubKey(event)
	n, ok := f.latest[subKey{i, sub}]
	if !ok {
		return false
	}
	it := f.items.at(n)
	if it.key != i || it.state != itemQueued {
		return false // SubKey has returned something else when the event left the queue
	}
	old, oldSeq := it.event, it.seq
	if f.cfg.Merge != nil {
		event = f.merged(old, event, sub)
		size = f.size(event)
	}
	// The difference may be negative. The bounds are not checked here: enqueue
	// trims afterwards, since Merge may return a larger event.
	more := int64(size) - int64(f.sizeOf(n))
	it.event, it.seq = event, seq
	if f.apart {
		f.note(n, event, size)
	}
	s.bytes += more
	f.heldBytes += more
	f.refile(i, s)
	f.discard(old, oldSeq, receipt.Conflated, out)
	return true
}

// replaces reports whether an event would take the place of a queued one, within the global
// bound in bytes: then it can be taken although the dispatcher is full. i is the slot of
// its key, 0 if the key has none.
func (f *Dispatcher[T, K]) replaces(i uint32, event T, size uint32) bool {
	if f.latest == nil || i == 0 {
		return false
	}
	n, ok := f.latest[subKey{i, f.cfg.SubKey(event)}]
	if !ok {
		return false
	}
	it := f.items.at(n)
	if it.key != i || it.state != itemQueued {
		return false
	}
	old := f.sizeOf(n)
	return size <= old || f.heldBytes+int64(size)-int64(old) <= f.cfg.MaxBytes
}

// forget removes the entry that makes a queued item the latest of its sub-key, which
// it is: a newer event takes its place, and one that has come back has no entry.
func (f *Dispatcher[T, K]) forget(sub subKey, item uint32) {
	if f.latest[sub] == item {
		delete(f.latest, sub)
	} else {
		f.misused("SubKey") // it had another value when the event was queued
	}
}
