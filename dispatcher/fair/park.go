package fair

import (
	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// Park takes a key out of the running until Unpark: its events are kept, within
// the bounds, and none is handed out. What is in flight stays so. A parked key
// costs nothing when others are served. A key without events may be parked as
// well and is remembered; no more than [Config.MaxParked] keys are, and Park
// answers false for any more, which are then served as before. Parking twice is
// parking once. Call Unpark also when the reason has gone with its user: nothing
// else forgets a parked key.
//
// A stage that drains does not wait for Unpark: when all else has been served,
// what parked keys have is discarded with the reason [receipt.Parked]. A stage that was
// not told to drain waits, also when its source has ended.
//
// Park is to be called on the goroutine of the stage, through the stage's Do.
func (f *Dispatcher[T, K]) Park(key K) bool {
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

// Unpark lets a parked key run again, with the credits that it had. It does
// nothing for a key that is not parked. As Park it is to be called on the
// goroutine of the stage; the stage dispatches afterwards.
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
	f.DiscardHeld(out, receipt.Parked) // what cannot be served now or later is parked
}
