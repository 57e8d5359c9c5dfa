package dispatcher

import (
	"hash/maphash"
	"reflect"

	"github.com/penstock-go/penstock/receipt"
)

// Fair serves keys fairly: whoever floods waits for himself and for nobody
// else. The key is whatever fairness is about, such as a user id; it must not
// change while the event is held.
//
//	offer ──▶ one queue per active key ──▶ keys with credits, then keys in turn ──▶ subscriptions
//	             │ bounds: drop or pause        ▲                                      │
//	             ▼                              └────────── receipt frees the key ◀────┘
//	          Discard
//
// # Choice
//
// Events are read ahead into the queues of their keys and who is next is
// decided when a subscription has asked, not before: what a subscription has
// been handed is out of Fair's reach, so let consumers ask for as many events as
// they have free workers. A key that has been idle has [FairConfig.Credits] and
// goes before those that have used theirs up; the others are served in turn, one
// event for each turn. A key earns one credit a round. This is deficit round
// robin with sparse flows first (Shreedhar & Varghese, SIGCOMM '95; RFC 8290),
// interleaved, and with a privilege that survives an empty queue.
//
// # Order
//
// The events of a key are delivered one at a time and in the order in which
// they were offered: the next one is handed out when the receipt of the one
// before has come. [FairConfig.UnorderedInFlight] gives that up. [Conflate] puts
// a new event in the place of the older one with its sub-key.
//
// # Loss
//
// By default Fair suits live events and drops what it has no room for: the
// oldest event of a key that is full, the oldest of the longest queue when
// Fair is full. Every event that is dropped is given to Out.Discard with its
// reason. With PauseSource and PauseOnFullKey nothing is dropped.
//
// # Concurrency
//
// All methods, those of its own included ([Fair.Park], [Fair.Unpark],
// [Fair.Snapshot]), are to be called on the goroutine of its stage only.
//
// # Cost
//
// A step takes constant time, whatever the number of keys; no memory is
// allocated once the most keys and events that are there at once have been seen.
// A key costs about 120 bytes while it has events, an idle one nothing.
type Fair[T any, K comparable] struct {
	fairCore
	cfg    FairConfig[T]
	key    func(T) K
	err    error
	fire   func(uint32, *fairSlot)
	sizeof uint32
	rated  bool
	mortal bool // events may expire
	paused bool // the last offer was not taken whole

	index   fairIndex[K]
	events  fairSlab[T]
	tenants fairIndex[string]
	free    uint32 // groups not in use, linked by owner
	top     uint32 // group

	latest    map[fairSubKey]uint32 // item, under Conflate
	absent    map[K]struct{}        // parked keys without a slot
	discarded map[receipt.Reason]uint64
}

var (
	_ Holder[int]       = (*Fair[int, int])(nil)
	_ ReceiptTaker[int] = (*Fair[int, int])(nil)
	_ Timed             = (*Fair[int, int])(nil)
	_ Parking[int]      = (*Fair[int, int])(nil)
)

// NewFair answers a dispatcher that is fair between the values of key, which
// must be quick, pure and not nil. Options that cannot be show in [Fair.Err].
func NewFair[T any, K comparable](key func(T) K, cfg FairConfig[T]) *Fair[T, K] {
	f := &Fair[T, K]{key: key, err: cfg.Validate(), discarded: make(map[receipt.Reason]uint64), absent: make(map[K]struct{})}
	if f.err == nil && key == nil {
		f.err = &ConfigError{"key", nil, "a function"}
	}
	if f.err != nil {
		cfg = FairConfig[T]{}
	}
	cfg = cfg.withDefaults()
	f.cfg = cfg
	f.fire = f.due
	f.sizeof = uint32(min(reflect.TypeFor[T]().Size(), 1<<31))
	f.mortal = cfg.TTL > 0 || cfg.TTLOf != nil
	f.rated = cfg.Rate.PerSecond > 0 || cfg.RateOf != nil
	if cfg.KeyOverflow == Conflate {
		f.latest = make(map[fairSubKey]uint32)
	}
	seed := maphash.MakeSeed()
	f.index.init(seed)
	f.tenants.init(seed)

	f.subs.init()
	f.depths.init(cfg.MaxEvents, cfg.MaxBytes)
	f.maxGhosts = max(1024, cfg.MaxEvents)
	f.credits = int32(cfg.Credits)
	f.capacity = uint32(cfg.UnorderedInFlight)
	f.measured = cfg.MeasuredCost
	f.timed = f.rated || f.measured
	f.unit = int64(cfg.CostUnit)
	f.mean = f.unit
	f.nclass = uint32(len(cfg.Weights))
	for i, w := range cfg.Weights {
		f.weights[i] = uint64(w)
	}
	f.newGroup(0)
	return f
}

// Err is the [*ConfigError] of the options that Fair was made with, or nil.
// With an error Fair refuses every subscription and takes no events.
func (f *Fair[T, K]) Err() error { return f.err }

// Subscribe implements [Dispatcher]. It refuses with [Fair.Err] only.
func (f *Fair[T, K]) Subscribe(sub int, _ SubscribeOptions) error {
	if f.err == nil {
		f.subs.add(sub)
	}
	return f.err
}

// Ask implements [Dispatcher].
func (f *Fair[T, K]) Ask(sub, n int) { f.subs.ask(sub, n) }

// Cancel implements [Dispatcher].
func (f *Fair[T, K]) Cancel(sub int) { f.subs.cancel(sub) }

// Held implements [Holder]: the events in the queues, without those in flight.
func (f *Fair[T, K]) Held() int { return f.held }

// Wake implements [Timed]: when the next key comes off its rate limit.
func (f *Fair[T, K]) Wake() (at int64, ok bool) {
	_, _, tick, ok := f.wheel.next()
	return tick << fairTickBits, ok
}

// Demand implements [Dispatcher]: the room up to the global bound in events, 0
// if the bound in bytes is reached. Under [DropLongest] it is never below
// [FairConfig.Intake]. It is 0 while an event that was offered has not been
// taken.
func (f *Fair[T, K]) Demand() int {
	if f.err != nil || f.paused {
		return 0
	}
	room := f.cfg.MaxEvents - f.held
	if f.heldBytes >= f.cfg.MaxBytes {
		room = 0
	}
	if f.cfg.Overflow == DropLongest {
		return max(room, f.cfg.Intake)
	}
	return max(room, 0)
}

// Dispatch implements [Dispatcher]. It takes the whole offer unless it pauses
// its source, and then hands out events as long as there is a subscription that
// has asked and a key that may be served.
func (f *Fair[T, K]) Dispatch(offer Offer[T], out Out[T]) (taken int) {
	if f.err != nil {
		return 0
	}
	f.advance(offer.Now)
	for {
		from := taken
		for taken < len(offer.Events) && f.enqueue(offer.Events[taken], offer.First+uint64(taken), out) {
			taken++
		}
		handed := f.handOut(out)
		if taken == len(offer.Events) || (taken == from && !handed) {
			break
		}
	}
	f.paused = taken < len(offer.Events)
	return taken
}

// handOut gives events until nobody has asked for more or no key may be served.
func (f *Fair[T, K]) handOut(out Out[T]) (any bool) {
	for f.subs.head >= 0 {
		i := f.choose(out)
		if i == 0 {
			// Workers are idle: nobody who had his share before can be in
			// anybody's way.
			f.forgive(fairForgive)
			break
		}
		f.hand(i, out)
		if f.ghosts.head != 0 {
			f.sweep(2)
		}
		any = true
	}
	return any
}

// choose is the slot of the key whose turn it is and whose first event has not
// expired, or 0.
func (f *Fair[T, K]) choose(out Out[T]) uint32 {
	for {
		i := f.front(fairRoot)
		if i == 0 {
			return 0
		}
		s := f.slots.at(i)
		if s.flags&fairIsTenant != 0 {
			i = f.front(s.head)
			s = f.slots.at(i)
		}
		if f.mortal && f.expire(i, s, out) {
			continue
		}
		return i
	}
}

// hand gives the first event of a ready key to the subscription in turn.
func (f *Fair[T, K]) hand(i uint32, out Out[T]) {
	s := f.slots.at(i)
	f.take(s)
	owner := f.group(s.group).owner
	var t *fairSlot
	if owner != 0 {
		t = f.slots.at(owner)
		f.take(t)
	}
	n := s.head
	it := f.items.at(n)
	if f.measured {
		it.estimate = f.estimate(s)
		f.prepay(s, it.estimate)
		if t != nil {
			f.prepay(t, it.estimate)
		}
	}
	event := f.pop(i, s, it)
	it.state = fairInFlight
	it.gen++
	s.inflight++
	f.inflight++
	if f.rated {
		f.charge(s, event)
	}
	f.place(i, s)
	if t != nil && t.where == fairUnlisted && f.group(s.group).ready > 0 {
		f.list(owner, t)
	}
	out.GiveHeld(f.subs.next(), event, it.seq, uint64(it.gen)<<32|uint64(n))
}

// advance moves the clock and brings delayed keys back. The clock never goes
// back.
func (f *Fair[T, K]) advance(now int64) {
	if now > f.now {
		f.now = now
	}
	if f.wheel.n > 0 {
		f.turn(f.now, f.fire)
	}
}

// due is told of a slot whose time in the wheel is over.
func (f *Fair[T, K]) due(i uint32, s *fairSlot) {
	f.clearDebt(s)
	f.place(i, s)
}

// DiscardHeld implements [Holder]. Parked keys stay parked.
func (f *Fair[T, K]) DiscardHeld(out Out[T], reason receipt.Reason) {
	for i := uint32(1); i <= f.topSlot && f.held > 0; i++ {
		if s := f.slots.at(i); s.where != fairFree && s.flags&fairIsTenant == 0 {
			for n := s.count; n > 0; n-- {
				f.dropHead(i, s, reason, out)
			}
		}
	}
}
