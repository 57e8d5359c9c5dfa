package stage

import (
	"maps"
	"slices"

	"github.com/penstock-go/penstock/internal/ring"
)

// flights are the deliveries of a subscription that have no receipt yet, found
// by their position on it. Receipts mostly come in about the order of the
// deliveries, for which a ring is enough; a delivery that is overtaken by many
// others, such as one to a client that reads slowly, moves to a map, so that
// the memory is proportional to what is open and not to what was delivered
// since the oldest of it.
type flights[T any] struct {
	base uint64 // position of the front of the ring
	ring ring.Ring[flight[T]]
	late map[uint64]flight[T] // by position, all below base
	open int
}

// flight is an event that was delivered and has no receipt yet.
type flight[T any] struct {
	seq, ticket uint64
	event       T
	finished    bool
}

// spare is how many finished entries the ring may hold in front of an open one,
// besides as many as there are open ones.
const spare = 64

func (f *flights[T]) push(d flight[T]) {
	f.ring.Push(d)
	f.open++
}

// next removes and answers the oldest delivery, for receipts that come in
// order.
func (f *flights[T]) next() flight[T] {
	f.base++
	f.open--
	return f.ring.Pop()
}

// finish removes and answers the delivery at a position; ok is false if it was
// removed before.
func (f *flights[T]) finish(position uint64) (d flight[T], ok bool) {
	if position < f.base {
		d, ok = f.late[position]
		delete(f.late, position)
		if ok {
			f.open--
		}
		return d, ok
	}
	at := position - f.base
	if at >= uint64(f.ring.Len()) || f.ring.At(int(at)).finished {
		return d, false
	}
	entry := f.ring.At(int(at))
	d = *entry
	*entry = flight[T]{finished: true}
	f.open--
	for f.ring.Len() > 0 && (f.ring.At(0).finished || f.ring.Len() > spare+2*f.open) {
		if front := f.ring.Pop(); !front.finished {
			if f.late == nil {
				f.late = make(map[uint64]flight[T])
			}
			f.late[f.base] = front
		}
		f.base++
	}
	return d, true
}

// removeAll removes and answers every open delivery, oldest first.
func (f *flights[T]) removeAll() []flight[T] {
	all := make([]flight[T], 0, f.open)
	for _, position := range slices.Sorted(maps.Keys(f.late)) {
		all = append(all, f.late[position])
	}
	for f.ring.Len() > 0 {
		if d := f.ring.Pop(); !d.finished {
			all = append(all, d)
		}
		f.base++
	}
	f.late, f.open = nil, 0
	return all
}
