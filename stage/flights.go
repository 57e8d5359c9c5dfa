package stage

import (
	"maps"
	"slices"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/ring"
)

// flights are the deliveries of a subscription that have no receipt yet, found
// by their position on it. They belong to the producer's goroutine.
//
// Deliveries with consecutive sequence numbers are kept as one run, so that a
// batch costs a few words. Receipts mostly come in about the order of the
// deliveries, for which a queue of runs is enough, with a bit for each delivery
// that finished out of order. A delivery that many others have overtaken, such
// as one to a client that reads slowly, moves to a map: memory is proportional to
// the open deliveries, not to those made since the oldest of them.
type flights[T any] struct {
	keeps    bool   // events are kept, since they may come back
	scrub    bool   // they refer to other memory, and are cleared when they have left
	base     uint64 // position of the front of the queue
	next     uint64 // position of the next delivery
	runs     ring.Ring[flightRun]
	events   ring.Ring[T] // from base on, if kept
	finished bitmap       // positions from base on that finished out of order
	late     map[uint64]flight[T]
	open     int
}

// flightRun is a run of deliveries from position at, up to the beginning of the next run,
// with sequence numbers from seq on. One with a ticket is one delivery: tickets do not
// follow each other.
type flightRun struct{ at, seq, ticket uint64 }

// flight is an event that was delivered and has no receipt yet.
type flight[T any] struct {
	position    uint64
	seq, ticket uint64
	event       T
}

// spare is how many finished deliveries the queue may hold in front of an open
// one, besides twice as many as there are open ones.
const spare = 64

// push adds n deliveries. They are those of events, if events are kept.
func (f *flights[T]) push(seq, ticket uint64, n int, events []T) {
	if last := f.runs.Len() - 1; last < 0 || !f.runs.At(last).extends(f.next, seq, ticket) {
		f.runs.Push(flightRun{at: f.next, seq: seq, ticket: ticket})
	}
	if f.keeps {
		f.events.PushAll(events)
	}
	f.next += uint64(n)
	f.open += n
}

// pushOne adds one delivery.
func (f *flights[T]) pushOne(seq, ticket uint64, event T) {
	if ticket == 0 {
		f.push(seq, ticket, 1, nil)
	} else {
		f.runs.Push(flightRun{at: f.next, seq: seq, ticket: ticket})
		f.next++
		f.open++
	}
	if f.keeps {
		f.events.Push(event)
	}
}

// extends reports whether a delivery at position at, which follows the run, continues its
// sequence numbers.
func (r *flightRun) extends(at, seq, ticket uint64) bool {
	return r.ticket == 0 && ticket == 0 && r.seq+(at-r.at) == seq
}

// begin makes the account begin at a position: nothing before it is known. There must be
// no deliveries yet.
func (f *flights[T]) begin(position uint64) { f.base, f.next = position, position }

// front returns the longest run of open deliveries at the front, of at most n.
// The events are nil unless they are kept, and valid until the queue is changed.
func (f *flights[T]) front(n int) (seq, ticket uint64, k int, events []T) {
	r := f.runs.At(0)
	end := f.next
	if f.runs.Len() > 1 {
		end = f.runs.At(1).at
	}
	k = min(n, int(end-f.base))
	if f.keeps {
		events = f.events.Front()
		k = min(k, len(events))
		events = events[:k]
	}
	return r.seq + (f.base - r.at), r.ticket, k, events
}

// drop removes the first n deliveries of the queue, open or not. The count of open ones is
// the caller's.
func (f *flights[T]) drop(n int) {
	f.base += uint64(n)
	if f.keeps {
		f.dropEvents(n)
	}
	for f.runs.Len() > 1 && f.runs.At(1).at <= f.base {
		f.runs.Drop(1)
	}
	if f.base == f.next {
		f.runs.Drop(f.runs.Len())
	}
}

// dropEvents removes the first n events, which are cleared if they refer to other memory.
func (f *flights[T]) dropEvents(n int) {
	if f.scrub {
		f.events.Drop(n)
	} else {
		f.events.Skip(n)
	}
}

// land removes the first n deliveries, which were open and have their receipt. The
// caller calls trim when it has removed all that it means to: trim may move the
// deliveries that follow out of the queue.
func (f *flights[T]) land(n int) {
	f.open -= n
	f.drop(n)
}

// landAll is land, and adds a note for each of the deliveries to done.
func (f *flights[T]) landAll(n int, done []dispatcher.Done) []dispatcher.Done {
	f.open -= n
	for n > 0 {
		runs := f.runs.Front()
		at, k := f.base, 0 // runs that end
		for ; k < len(runs) && n > 0; k++ {
			r, end := &runs[k], f.next
			if k+1 < f.runs.Len() {
				end = f.runs.At(k + 1).at
			}
			count := min(n, int(end-at))
			for i := range uint64(count) {
				done = append(done, dispatcher.Done{Seq: r.seq + (at - r.at) + i, Ticket: r.ticket})
			}
			at += uint64(count)
			if n -= count; at < end {
				break // the run goes on
			}
		}
		if f.keeps {
			f.dropEvents(int(at - f.base))
		}
		f.runs.Skip(k)
		f.base = at
	}
	return done
}

// inOrder returns how many receipts at the beginning of list are those of the deliveries at
// the front, one after the other, and say no more than that they were handled, and if costs
// is set no cost either: land takes them as a whole. It is 0 while a delivery of the queue
// has finished out of order.
func (f *flights[T]) inOrder(list []Finished, costs bool) (n int) {
	queue := int(f.next - f.base)
	if f.open-len(f.late) != queue {
		return 0
	}
	for n < min(len(list), queue) && list[n].Position == f.base+uint64(n) && list[n].Err == nil && (!costs || list[n].Cost == 0) {
		n++
	}
	return n
}

// allOpen reports whether all deliveries of the queue are open, and none were overtaken.
func (f *flights[T]) allOpen() bool { return f.finished.count == 0 && len(f.late) == 0 }

// areOpen reports whether n deliveries from a position on are those at the front, and all
// of them are open.
func (f *flights[T]) areOpen(position uint64, n int) bool {
	if position != f.base || n > int(f.next-f.base) {
		return false
	}
	for i := 0; i < n && f.finished.count > 0; i++ {
		if f.finished.has(position+uint64(i), f.base) {
			return false
		}
	}
	return true
}

// finish removes and returns the delivery at a position; ok is false if it was
// removed before.
func (f *flights[T]) finish(position uint64) (d flight[T], ok bool) {
	switch {
	// The delivery was overtaken, or has its receipt already.
	case position < f.base:
		if d, ok = f.late[position]; ok {
			delete(f.late, position)
			f.open--
		}
		return d, ok
	case position >= f.next || f.finished.has(position, f.base):
		return d, false
	}
	d = f.at(position)
	if position == f.base {
		f.land(1)
		f.trim()
		return d, true
	}
	if f.keeps {
		var none T
		*f.events.At(int(position - f.base)) = none
	}
	f.finished.set(position, f.base, f.next)
	f.open--
	f.trim()
	return d, true
}

// at returns the delivery at a position of the queue.
func (f *flights[T]) at(position uint64) flight[T] {
	lo, hi := 1, f.runs.Len() // the first run that begins after position
	for lo < hi {
		if mid := (lo + hi) / 2; f.runs.At(mid).at <= position {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	r := f.runs.At(lo - 1)
	d := flight[T]{position: position, seq: r.seq + (position - r.at), ticket: r.ticket}
	if f.keeps {
		d.event = *f.events.At(int(position - f.base))
	}
	return d
}

// trim drops finished deliveries at the front, and moves open ones there to the map while
// too many finished ones follow them: the queue is never longer than spare plus twice the
// open ones.
func (f *flights[T]) trim() {
	for f.base < f.next {
		finished := f.finished.clear(f.base)
		if !finished {
			if f.next-f.base <= uint64(spare+2*f.open) {
				return
			}
			if f.late == nil {
				f.late = make(map[uint64]flight[T])
			}
			f.late[f.base] = f.at(f.base)
		}
		f.drop(1)
	}
}

// removeAll removes and returns every open delivery, the oldest first.
func (f *flights[T]) removeAll() []flight[T] {
	all := make([]flight[T], 0, f.open)
	for _, position := range slices.Sorted(maps.Keys(f.late)) {
		all = append(all, f.late[position])
	}
	for f.base < f.next {
		if !f.finished.clear(f.base) {
			all = append(all, f.at(f.base))
		}
		f.drop(1)
	}
	// The positions of late are all below base, so that the result is in order.
	f.late, f.open = nil, 0
	return all
}
