package fair

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// Park stops serving a key until Unpark: its events are kept, within the bounds,
// and none is handed out. Events in flight stay in flight. A parked key costs
// nothing when others are served. A key without events may be parked as well and
// is remembered. At most [Config.MaxParked] keys are parked: for any more Park
// returns false, and they are served as before. Parking a parked key does nothing.
// A key that is not equal to itself, such as a NaN, cannot be parked: Park returns
// false.
// Call Unpark also when the key's user has left: nothing else forgets a parked key.
//
// A draining stage does not wait for Unpark: when all other events have been
// served, those of parked keys are discarded with the reason [receipt.Parked]. A
// stage that does not drain waits, also when its source has ended.
//
// Call Park on the goroutine of the stage, through the stage's Do.
func (f *Dispatcher[T, K]) Park(key K) bool {
	if key != key {
		return false
	}
	hash := f.index.hash(key)
	i := f.index.find(key, hash)
	if i == 0 {
		if _, ok := f.absent[key]; ok {
			return true
		}
	} else if f.slots.at(i).flags&flagParked != 0 {
		return true
	}
	if f.parked >= f.cfg.MaxParked {
		return false
	}
	if i == 0 {
		f.absent[key] = struct{}{}
		f.parked++
		return true
	}
	s := f.slots.at(i)
	f.delist(s)
	s.flags |= flagParked
	f.parked++
	return true
}

// Unpark serves a parked key again, with the credits that it had. It does nothing
// for a key that is not parked. Like Park it must be called on the goroutine of
// the stage; the stage dispatches afterwards.
func (f *Dispatcher[T, K]) Unpark(key K) {
	i := f.index.find(key, f.index.hash(key))
	if i == 0 {
		if _, ok := f.absent[key]; ok {
			delete(f.absent, key)
			f.parked--
		}
		return
	}
	s := f.slots.at(i)
	if s.flags&flagParked == 0 {
		return
	}
	s.flags &^= flagParked
	f.parked--
	f.place(i, s)
}

// DiscardParked implements [dispatcher.Parking]. Parked keys stay parked.
func (f *Dispatcher[T, K]) DiscardParked(out dispatcher.Out[T]) {
	if f.parked == 0 || f.inflight > 0 || f.group(rootGroup).ready > 0 || f.wheel.n > f.debtors {
		return
	}
	f.DiscardHeld(out, receipt.Parked) // events that cannot be served now or later are those of parked keys
}
