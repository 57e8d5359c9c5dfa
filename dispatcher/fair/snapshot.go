package fair

import (
	"maps"
	"slices"

	"github.com/penstock-go/penstock/receipt"
)

// Snapshot is what a [Dispatcher] looks like at one moment.
type Snapshot[K comparable] struct {
	// Backlogged is how many keys have events waiting, Known how many are
	// remembered at all: these, the ones with events in flight, those that
	// were parked or have not yet earned back what they have used, and tenants.
	Backlogged, Known int
	// Held and HeldBytes are the events that wait, InFlight those handed out
	// without receipt.
	Held      int
	HeldBytes int64
	InFlight  int
	// Longest is the number of events in the longest queue of Top, and 1 if no
	// key has two events waiting.
	Longest int
	// Top are the keys that take up most of the room, the first the most, at
	// most 32 and each with two events or more (or few but large ones). Beyond
	// 127 events a key may be missing for one that has half as much.
	Top []KeyBacklog[K]
	// Parked is how many keys are parked, Delayed how many wait for their rate
	// limit.
	Parked, Delayed int
	// Discarded counts the events that were dropped, by reason.
	Discarded map[receipt.Reason]uint64
}

// KeyBacklog is what waits for one key.
type KeyBacklog[K comparable] struct {
	Key    K
	Events int
	Bytes  int64
}

const topKeys = 32

// Snapshot looks at no more than the longest queues, however many keys there
// are. It is to be called on the goroutine of the stage.
//
// The top keys come from the lists by depth that overflow needs anyway. A sketch
// such as Space-Saving (Metwally, Agrawal, El Abbadi, 2005) would cost work for
// each event, and it counts what came and not what waits.
func (f *Dispatcher[T, K]) Snapshot() Snapshot[K] {
	s := Snapshot[K]{
		Backlogged: f.backlog,
		Known:      f.live,
		Held:       f.held,
		HeldBytes:  f.heldBytes,
		InFlight:   f.inflight,
		Longest:    min(f.held, 1),
		Parked:     f.parked,
		Delayed:    f.wheel.n - f.debtors,
		Discarded:  maps.Clone(f.discarded),
	}
	for list := depthLists; list > 0 && len(s.Top) < topKeys; {
		i := f.depths.below(list)
		if i == 0 {
			break
		}
		list = int(f.slots.at(i).depth)
		// Above the exact lists there may be many of different length in one.
		for looked := 0; i != 0 && looked < 8*topKeys; looked++ {
			q := f.slots.at(i)
			s.Top = append(s.Top, KeyBacklog[K]{*f.index.keys.at(i), int(q.count), q.bytes})
			s.Longest = max(s.Longest, int(q.count))
			i = q.dnext
		}
	}
	slices.SortStableFunc(s.Top, func(a, b KeyBacklog[K]) int {
		if a.Events != b.Events {
			return b.Events - a.Events
		}
		return int(min(max(b.Bytes-a.Bytes, -1), 1))
	})
	s.Top = slices.Clip(s.Top[:min(len(s.Top), topKeys)])
	return s
}
