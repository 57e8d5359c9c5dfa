package fair

import (
	"maps"
	"slices"
	"time"

	"github.com/penstock-go/penstock/receipt"
)

// Snapshot is the state of a [Dispatcher] at one moment.
type Snapshot[K comparable] struct {
	// Backlogged is the number of keys with waiting events, Known that of all
	// remembered keys: these, the ones with events in flight, those that are
	// parked or have not yet earned back their credits, and tenants.
	Backlogged int `json:"backlogged"`
	Known      int `json:"known"`
	// Held and HeldBytes count the waiting events, InFlight those handed out
	// without receipt.
	Held      int   `json:"held"`
	HeldBytes int64 `json:"held_bytes"`
	InFlight  int   `json:"in_flight"`
	// Oldest is how long the oldest waiting event has waited since it came, or came back: at
	// most 10 ms too much, or a sixteenth of what Oldest was at that time. An event that has
	// taken the place of an older one, see Config.SubKey, counts from when the first there came.
	Oldest time.Duration `json:"oldest_ns"`
	// Longest is the number of events in the longest queue of Top, and 1 if no
	// key has two events waiting.
	Longest int `json:"longest"`
	// Top are the keys that take up most of the room, the largest first, at most
	// 32 and each with two events or more (or few but large ones). Beyond 15
	// events a key may be missing in favour of one with an eighth less.
	Top []KeyBacklog[K] `json:"top,omitempty"`
	// Parked is the number of keys that are parked, Delayed of those that wait for
	// their rate limit.
	Parked  int `json:"parked"`
	Delayed int `json:"delayed"`
	// Discarded counts the events that were dropped, by reason.
	Discarded map[receipt.Reason]uint64 `json:"discarded,omitempty"`
	// Misused counts, by the option's name, the values that a function of Config
	// has returned and that were replaced: a rate that is negative, not a number or
	// too large by Rate, a class out of range and a negative size by 0, a merged
	// event with another key or sub-key by the newer event. "key" counts events
	// whose key is not equal to itself, and "SubKey" those whose sub-key has changed.
	Misused map[string]uint64 `json:"misused,omitempty"`
}

// KeyBacklog counts the waiting events of one key.
type KeyBacklog[K comparable] struct {
	Key    K     `json:"key"`
	Events int   `json:"events"`
	Bytes  int64 `json:"bytes"`
	// Parked reports that the key is parked. Left is how long one that waits for its rate
	// limit or for the pause after a failure is not served yet, as of the last time that
	// the stage has dispatched; 0 for any other key.
	Parked bool          `json:"parked,omitempty"`
	Left   time.Duration `json:"left_ns,omitempty"`
}

// HandleInspect returns the dispatcher's [Snapshot], which has the keys with the
// longest queues in it.
func (f *Dispatcher[T, K]) HandleInspect() any { return f.Snapshot() }

// left returns how long a key is in the timer wheel yet, 0 if it is not.
func (f *Dispatcher[T, K]) left(s *slot) time.Duration {
	if s.where != whereDelayed {
		return 0
	}
	return time.Duration(max(0, f.timesOf(s).due<<tickBits-f.now))
}

// topKeys bounds Snapshot.Top.
const topKeys = 32

// Snapshot looks at the longest queues only, for any number of keys. Call it on
// the goroutine of the stage.
//
// The top keys come from the lists by depth, which overflow needs anyway. A sketch
// such as Space-Saving (Metwally, Agrawal, El Abbadi, 2005) would cost work for
// each event, and counts arrived events rather than waiting ones.
func (f *Dispatcher[T, K]) Snapshot() Snapshot[K] {
	s := Snapshot[K]{
		Backlogged: f.backlog,
		Known:      f.live,
		Held:       f.held,
		HeldBytes:  f.heldBytes,
		InFlight:   f.inflight,
		Oldest:     f.ages.oldest(),
		Longest:    min(f.held, 1),
		Parked:     f.parked,
		Delayed:    f.wheel.n - f.debtors,
		Discarded:  maps.Clone(f.discarded),
		Misused:    maps.Clone(f.misuse),
	}
	for list := depthLists; list > 0 && len(s.Top) < topKeys; {
		i := f.depths.below(list)
		if i == 0 {
			break
		}
		list = int(f.slots.at(i).depth)
		// Above the exact lists, one list may hold queues of different lengths.
		for looked := 0; i != 0 && looked < 8*topKeys; looked++ {
			q := f.slots.at(i)
			s.Top = append(s.Top, KeyBacklog[K]{*f.index.keys.at(i), int(q.count), q.bytes, q.flags&flagParked != 0, f.left(q)})
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
