package fair

import (
	"hash/maphash"
	"reflect"
	"strings"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// Dispatcher is the [dispatcher.Dispatcher] that shares output between keys of
// type K. Make one with [New]. It belongs to one stage, whose goroutine makes
// every call: nothing here is safe for concurrent use.
type Dispatcher[T any, K comparable] struct {
	core
	cfg  Config[T]
	key  func(T) K
	fire func(uint32, *slot)
	// fire is the method due as a value, made once so that advance allocates
	// nothing.
	sizeof uint32
	rated  bool
	pauses bool // after a failure
	mortal bool // events may expire
	paused bool // the last offer was not taken completely
	// The bound in bytes may be reached before that in events: demand depends on
	// meanSize, the mean size of the events held, or of those held last.
	inBytes  bool
	meanSize int64

	// index and tenants find slots by key and by tenant; both number their slots
	// in core.slots. extras is parallel to items, and empty unless apart is set.
	index   keyIndex[K]
	items   slab[cell[T]]
	extras  slab[itemExtra]
	apart   bool
	tenants keyIndex[string]
	// Groups not in use, linked by owner, and the highest group ever used.
	free uint32 // groups not in use, linked by owner
	top  uint32 // group

	// The maps below are empty, or nil, unless their option is in use.
	latest    map[subKey]uint32 // item, under Conflate
	absent    map[K]struct{}    // parked keys without a slot
	discarded map[receipt.Reason]uint64

	// Values of the program's functions that were replaced: by function, in all,
	// and the function of the last one.
	misuse     map[string]uint64
	misuses    uint64
	lastMisuse string
}

var (
	_ dispatcher.Holder[int]       = (*Dispatcher[int, int])(nil)
	_ dispatcher.ReceiptTaker[int] = (*Dispatcher[int, int])(nil)
	_ dispatcher.DoneTaker         = (*Dispatcher[int, int])(nil)
	_ dispatcher.Timed             = (*Dispatcher[int, int])(nil)
	_ dispatcher.Parking[int]      = (*Dispatcher[int, int])(nil)
	_ dispatcher.MisuseCounter     = (*Dispatcher[int, int])(nil)
	_ dispatcher.Staller           = (*Dispatcher[int, int])(nil)
	_ dispatcher.Withdrawer[int]   = (*Dispatcher[int, int])(nil)
	_ dispatcher.Costed            = (*Dispatcher[int, int])(nil)
)

// New returns a dispatcher that is fair between the values of key. The function
// must be quick, pure and not nil, and its values equal to themselves, which a NaN
// is not. An error is an [*OptionError].
func New[T any, K comparable](key func(T) K, cfg Config[T]) (*Dispatcher[T, K], error) {
	if err := option.First(fairOwner.Needs("key", key, "a function"), cfg.Validate()); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	f := &Dispatcher[T, K]{cfg: cfg, key: key, discarded: make(map[receipt.Reason]uint64), absent: make(map[K]struct{})}
	f.fire = f.due
	f.moved = func(i uint32, at int) { f.slots.at(i).prev = uint32(at) }
	f.sizeof = uint32(min(reflect.TypeFor[T]().Size(), 1<<31))
	f.meanSize = int64(f.sizeof)
	if cfg.Size != nil {
		f.meanSize = unknownSize
	}
	f.inBytes = cfg.Overflow == Pause && (cfg.Size != nil || int64(f.sizeof)*int64(cfg.MaxEvents) > cfg.MaxBytes)
	f.mortal = cfg.TTL > 0 || cfg.TTLOf != nil
	f.rated = cfg.Rate.PerSecond > 0 || cfg.RateOf != nil
	if cfg.KeyOverflow == Conflate {
		f.latest = make(map[subKey]uint32)
	}
	seed := maphash.MakeSeed()
	f.index.init(seed)
	f.tenants.init(seed)

	f.subs.init()
	f.ages.begin()
	f.depths.init(cfg.MaxEvents, cfg.MaxBytes)
	f.maxGhosts = max(1024, cfg.MaxEvents)
	f.credits = int32(cfg.Credits)
	f.capacity = uint32(cfg.UnorderedInFlight)
	f.measured = cfg.MeasuredCost
	f.turns = cfg.Turn > 1
	f.apart = f.measured || f.mortal || cfg.Size != nil
	f.pauses = cfg.Retry.MaxAttempts > 1 && cfg.Retry.Pause(1) > 0
	f.timed = f.rated || f.measured || f.pauses
	f.unit = int64(cfg.CostUnit)
	f.mean = f.unit
	f.nclass = uint32(len(cfg.Weights))
	for i, w := range cfg.Weights {
		f.weights[i] = uint64(w)
	}
	// The first group is rootGroup; it has no owner.
	f.newGroup(0)
	return f, nil
}

// Subscribe implements [dispatcher.Dispatcher]. It refuses the options of other
// dispatchers with an [*OptionError].
func (f *Dispatcher[T, K]) Subscribe(sub int, opts dispatcher.SubscribeConfig) error {
	if err := option.First(
		fairOwner.Unused("Partition", opts.Partition, "dispatcher.Partition"),
		fairOwner.Unused("Selector", opts.Selector, "dispatcher.Broadcast"),
	); err != nil {
		return err
	}
	f.subs.add(sub)
	return nil
}

// Ask implements [dispatcher.Dispatcher].
func (f *Dispatcher[T, K]) Ask(sub, n int) { f.subs.ask(sub, n) }

// Cancel implements [dispatcher.Dispatcher].
func (f *Dispatcher[T, K]) Cancel(sub int) { f.subs.cancel(sub) }

// Costs implements [dispatcher.Costed]: only [Config.MeasuredCost] needs the cost of events.
func (f *Dispatcher[T, K]) Costs() bool { return f.measured }

// Held implements [dispatcher.Holder]: the events in the queues, without those
// in flight.
func (f *Dispatcher[T, K]) Held() int { return f.held }

// Wake implements [dispatcher.Timed]: the time at which a rate limit or the pause after a
// failure releases the next key.
func (f *Dispatcher[T, K]) Wake() (at int64, ok bool) {
	_, _, tick, ok := f.wheel.next()
	return tick << tickBits, ok
}

// unknownSize is the size for which events count, in bytes, before the first one has
// been seen.
const unknownSize = 64 << 10

// Demand implements [dispatcher.Dispatcher]: the room up to the global bound in
// events, or in bytes for events of the mean size, 0 if one is reached. Under
// [DropLongest] it is never below [Config.Intake], and under [Conflate] never below 1,
// since an event that replaces another needs no room. It is 0 while an event that was
// offered has not been taken.
func (f *Dispatcher[T, K]) Demand() int {
	if f.paused {
		return 0
	}
	room := f.cfg.MaxEvents - f.held
	if f.heldBytes >= f.cfg.MaxBytes {
		room = 0
	} else if f.inBytes {
		// What was asked for comes even if there is no room by then, and waits in the
		// buffer of the stage: that must not be as many large events as small ones.
		if f.held > 0 {
			f.meanSize = max(1, f.heldBytes/int64(f.held))
		}
		room = int(min(int64(room), max(1, (f.cfg.MaxBytes-f.heldBytes)/f.meanSize)))
	}
	if f.cfg.Overflow == DropLongest {
		return max(room, f.cfg.Intake)
	}
	if f.latest != nil {
		return max(room, 1) // it may replace another one, and needs no room then
	}
	return max(room, 0)
}

// Stalled implements [dispatcher.Staller]: subscriptions have demand, and each key
// that could be served next waits for a receipt.
func (f *Dispatcher[T, K]) Stalled() bool { return f.blocked > 0 && f.subs.head >= 0 }

// Dispatch implements [dispatcher.Dispatcher]. It takes the whole offer unless it
// pauses its source, and then hands out events as long as there is a subscription
// that has asked and a key that may be served. Handing out may make room for an
// event that paused the source, so the two alternate until neither makes progress.
func (f *Dispatcher[T, K]) Dispatch(offer dispatcher.Offer[T], out dispatcher.Out[T]) (taken int) {
	f.advance(offer.Now)
	if len(offer.Events) > 0 {
		f.ages.arrive(f.now)
	}
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

// handOut gives events until no subscription has demand or no key may be served.
// It reports whether it gave any. It also sweeps two ghosts for each event, so
// idle keys are forgotten at the rate at which work is done.
func (f *Dispatcher[T, K]) handOut(out dispatcher.Out[T]) (any bool) {
	for f.subs.head >= 0 {
		i := f.choose(out)
		if i == 0 {
			// Workers are idle: a key that has had its share delays no other.
			f.forgive(forgivePerIdle)
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

// choose returns the slot of the key whose turn it is and whose first event has
// not expired, or 0.
func (f *Dispatcher[T, K]) choose(out dispatcher.Out[T]) uint32 {
	for {
		i := f.front(rootGroup)
		if i == 0 {
			return 0
		}
		s := f.slots.at(i)
		if s.flags&flagTenant != 0 {
			i = f.front(s.head)
			s = f.slots.at(i)
		}
		if f.mortal && f.expire(i, s, out) {
			continue
		}
		return i
	}
}

// hand gives the first event of a ready key to the subscription in turn. Both the
// key and its tenant are charged; the key is placed again after the others, and
// then the tenant, which must be listed with the key's new state.
func (f *Dispatcher[T, K]) hand(i uint32, out dispatcher.Out[T]) {
	s := f.slots.at(i)
	f.take(s)
	owner := f.group(s.group).owner
	var t *slot
	if owner != 0 {
		t = f.slots.at(owner)
		f.take(t)
	}
	n := s.head
	it := f.items.at(n)
	if f.measured {
		estimate := f.estimate(s)
		f.extras.at(n).estimate = estimate
		f.prepay(s, estimate)
		if t != nil {
			f.prepay(t, estimate)
		}
	}
	event := f.pop(i, s, it)
	it.state = itemInFlight
	it.gen++
	s.inflight++
	f.inflight++
	if s.inflight == f.capacity && s.count > 0 {
		f.blocked++
	}
	if f.rated {
		f.charge(s, event)
	}
	f.place(i, s)
	// place has listed the tenant if the key was its only ready one.
	if t != nil && t.where == whereUnlisted && f.group(s.group).ready > 0 {
		f.list(owner, t)
	}
	sub := f.subs.next()
	out.GiveHeld(sub, event, it.seq, uint64(it.gen)<<32|uint64(n))
	if f.cfg.Turn > 1 && s.count > 0 {
		f.goOn(i, s, sub, out)
	}
}

// goOn hands out what [Config.Turn] allows of a key that has had its turn, as long as the
// subscription has demand. The slot is unlisted, since its key has an event in flight.
func (f *Dispatcher[T, K]) goOn(i uint32, s *slot, sub int, out dispatcher.Out[T]) {
	for left := f.cfg.Turn - 1; left > 0 && s.count > 0; left-- {
		n := s.head
		if f.rated && f.allowedAt(s) > f.now || f.mortal && f.expired(n) || !f.subs.more(sub) {
			return
		}
		it := f.items.at(n)
		event := f.pop(i, s, it)
		it.state = itemInFlight
		it.gen++
		s.inflight++
		f.inflight++
		s.credits = max(0, s.credits-1)
		if f.rated {
			f.charge(s, event)
		}
		out.GiveHeld(sub, event, it.seq, uint64(it.gen)<<32|uint64(n))
	}
	if s.count == 0 {
		f.place(i, s) // nothing of it waits for a rate limit or a pause any more
	}
}

// advance sets the clock to now, never back, and places the keys that have come
// due in the wheel.
func (f *Dispatcher[T, K]) advance(now int64) {
	if now > f.now {
		f.now = now
	}
	if f.wheel.n > 0 {
		f.turn(f.now, f.fire)
	}
}

// due places an unlisted slot whose time in the wheel is over: a key that its rate
// limit or a pause has delayed, or a debtor.
func (f *Dispatcher[T, K]) due(i uint32, s *slot) {
	f.clearDebt(s)
	f.place(i, s)
}

// DiscardHeld implements [dispatcher.Holder]: it empties every queue. Events in
// flight and parked keys stay as they are.
func (f *Dispatcher[T, K]) DiscardHeld(out dispatcher.Out[T], reason receipt.Reason) {
	for i := uint32(1); i <= f.topSlot && f.held > 0; i++ {
		if s := f.slots.at(i); s.where != whereFree && s.flags&flagTenant == 0 {
			for n := s.count; n > 0; n-- {
				f.dropHead(i, s, reason, out)
			}
		}
	}
}

// Drops implements dispatcher.Dropper.
func (d *Dispatcher[T, K]) Drops() string {
	var policies []string
	if d.cfg.Overflow == DropLongest {
		policies = append(policies, "Overflow: DropLongest")
	}
	switch d.cfg.KeyOverflow {
	case DropOldest:
		policies = append(policies, "KeyOverflow: DropOldest")
	case DropNewest:
		policies = append(policies, "KeyOverflow: DropNewest")
	case Conflate:
		policies = append(policies, "KeyOverflow: Conflate")
	}
	return strings.Join(policies, ", ")
}
