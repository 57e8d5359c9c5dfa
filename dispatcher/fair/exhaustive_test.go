package fair

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

// The exhaustive model runs the real code through every interleaving of what
// can happen to a few keys, a few events and two workers: an event comes, a
// worker asks, finishes, fails or dies with its event, a key is parked or
// unparked, and time passes the events' time to live. It walks the graph of
// states breadth first and stops where it has been before; since rounds and
// tickets are compared by what they mean, the graph is finite.
//
// After every step: every event is in one place exactly; no event of a key is
// handed out before all earlier ones have ended; the cap holds; no worker waits
// while an event might be handed out; and all of the dispatcher's own counts
// are right.

const (
	exKeys    = 3
	exEvents  = 4
	exWorkers = 2
)

type exEvent struct{ key, n uint8 }

type exStatus uint8

const (
	exFuture exStatus = iota
	exQueued
	exFlying
	exEnded // done, failed for good or discarded
)

// exState is the model's half of a state: all that is not in the dispatcher.
type exState struct {
	status [exEvents]exStatus
	came   uint8
	late   bool // time has passed
	fresh  [exEvents]bool
	asked  [exWorkers]bool
	flying [exWorkers]int8 // event, -1 is none
	ticket [exWorkers]uint64
	parked [exKeys]bool
}

type exRun struct {
	t      *testing.T
	cfg    Config[exEvent]
	stream [exEvents]uint8             // keys
	f      *Dispatcher[exEvent, uint8] // here or there
	start  *Dispatcher[exEvent, uint8]
	here   *Dispatcher[exEvent, uint8]
	there  *Dispatcher[exEvent, uint8]
	nodes  []exNode
	state  exState
	seen   map[uint64]struct{}
	seed   maphash.Seed
	path   []uint8
	buf    []byte
	steps  int
}

const exTTL = time.Second

func (x *exRun) Give(int, int, int) { x.fail("Give") }

func (x *exRun) GiveHeld(sub int, e exEvent, seq, ticket uint64) {
	s := &x.state
	n := int(seq - 1)
	switch {
	case int(e.n) != n || s.status[n] != exQueued:
		x.fail("event %d handed out in status %d", n, s.status[n])
	case !s.asked[sub] || s.flying[sub] >= 0:
		x.fail("worker %d has not asked", sub)
	case s.parked[e.key]:
		x.fail("parked key %d is served", e.key)
	}
	inflight := 0
	for i := range n {
		if x.stream[i] != e.key {
			continue
		}
		if s.status[i] == exQueued || s.status[i] == exFlying && x.cfg.UnorderedInFlight < 2 {
			x.fail("event %d overtakes %d", n, i)
		}
	}
	s.status[n] = exFlying
	s.asked[sub] = false
	s.flying[sub] = int8(n)
	s.ticket[sub] = ticket
	for _, f := range s.flying {
		if f >= 0 && x.stream[f] == e.key {
			inflight++
		}
	}
	if inflight > max(1, x.cfg.UnorderedInFlight) {
		x.fail("%d of key %d in flight", inflight, e.key)
	}
}

func (x *exRun) Discard(_ exEvent, seq uint64, reason receipt.Reason) {
	n := seq - 1
	if s := x.state.status[n]; s != exQueued {
		x.fail("event %d discarded in status %d", n, s)
	}
	if reason == receipt.Expired && (!x.state.late || x.state.fresh[n]) {
		x.fail("event %d has not expired", n)
	}
	x.state.status[n] = exEnded
}

func (x *exRun) fail(format string, args ...any) {
	x.t.Helper()
	x.t.Logf("after %v with keys %v", x.path, x.stream)
	x.t.Fatalf(format, args...)
}

// exCopy makes dst what src is. Both have one chunk of everything.
func exCopy(dst, src *Dispatcher[exEvent, uint8]) {
	keep := *dst
	*dst = *src
	dst.slots, dst.items, dst.extras = keep.slots, keep.items, keep.extras
	dst.groups, dst.classes, dst.levels = keep.groups, keep.classes, keep.levels
	dst.index, dst.tenants = keep.index, keep.tenants
	dst.root, dst.rootClass = keep.root, keep.rootClass
	dst.fire, dst.moved, dst.subs.all = keep.fire, keep.moved, keep.subs.all[:0]
	dst.subs.all = append(dst.subs.all, src.subs.all...)
	const top = 8 // more than there can be
	for i := range uint32(top) {
		*dst.slots.at(i) = *src.slots.at(i)
		*dst.items.at(i) = *src.items.at(i)
		*dst.extras.at(i) = *src.extras.at(i)
		*dst.classes.at(i) = *src.classes.at(i)
		*dst.levels.at(i) = *src.levels.at(i)
		g := dst.groups.at(i)
		heap := append(g.heap[:0], src.groups.at(i).heap...)
		*g = *src.groups.at(i)
		g.heap = heap
	}
	for k := range uint8(exKeys) {
		exCopyIndex(&dst.index, &src.index, top, k)
	}
	for k := range uint8(2) {
		exCopyIndex(&dst.tenants, &src.tenants, top, exTenant(exEvent{key: k}))
	}
	dst.absent = keep.absent
	clear(dst.absent)
	for k := range src.absent {
		dst.absent[k] = struct{}{}
	}
	dst.discarded = keep.discarded
}

// exCopyIndex copies the part of the index in which key is.
func exCopyIndex[K comparable](dst, src *keyIndex[K], top uint32, key K) {
	dst.seed = src.seed
	dst.keys.reach(top)
	src.keys.reach(top)
	for i := range top {
		*dst.keys.at(i) = *src.keys.at(i)
	}
	part := src.hash(key) >> 24
	d, s := &dst.parts[part], &src.parts[part]
	d.n = s.n
	d.cells = append(d.cells[:0], s.cells...)
}

func (x *exRun) newDispatcher() *Dispatcher[exEvent, uint8] {
	f := option.Must(New(func(e exEvent) uint8 { return e.key }, x.cfg))
	f.slots.reach(1)
	f.items.reach(1)
	f.extras.reach(1)
	f.groups.reach(1)
	f.classes.reach(1)
	f.levels.reach(1)
	return f
}

// digest is the meaning of the state, without the differences of states that behave
// the same.
func (x *exRun) digest(f *Dispatcher[exEvent, uint8]) uint64 {
	b := x.buf[:0]
	s := &x.state
	for i := range s.status {
		b = append(b, byte(s.status[i]), exBit(s.fresh[i]))
	}
	b = append(b, s.came, exBit(s.late))
	// It makes no difference which worker is which, except for whose turn it is.
	first := int(max(f.subs.head, 0))
	if f.subs.head < 0 && s.flying[1] > s.flying[0] {
		first = 1
	}
	for w := range s.flying {
		w = (w + first) % exWorkers
		b = append(b, exBit(s.asked[w]), byte(s.flying[w]))
	}
	name := map[uint32]byte{}
	for k := range uint8(exKeys) {
		b = append(b, exBit(s.parked[k]))
		i := f.index.find(k, f.index.hash(k))
		if i == 0 {
			b = append(b, 255)
			continue
		}
		name[i] = k
		slot := f.slots.at(i)
		b = x.digestSlot(b, f, slot)
		for n := slot.head; n != 0; n = f.items.at(n).next {
			it := f.items.at(n)
			b = append(b, byte(it.seq), byte(it.tries), byte(it.state))
		}
	}
	if f.cfg.Tenant != nil {
		for k := range uint8(2) {
			t := exTenant(exEvent{key: k})
			i := f.tenants.find(t, f.tenants.hash(t))
			if i == 0 {
				b = append(b, 255)
				continue
			}
			name[i] = 100 + k
			b = x.digestSlot(b, f, f.slots.at(i))
			b = x.digestGroup(b, f, f.slots.at(i).head, name)
		}
	}
	b = x.digestGroup(b, f, rootGroup, name)
	b = x.digestList(b, f, f.ghosts, name)
	for w := range s.flying { // tries of what is in flight
		if fl := s.flying[(w+first)%exWorkers]; fl >= 0 {
			for i := uint32(1); i <= f.topItem; i++ {
				if it := f.items.at(i); it.state == itemInFlight && it.seq == uint64(fl)+1 {
					b = append(b, byte(it.tries))
				}
			}
		}
	}
	x.buf = b
	return maphash.Bytes(x.seed, b)
}

func (x *exRun) digestSlot(b []byte, f *Dispatcher[exEvent, uint8], s *slot) []byte {
	b = append(b, byte(s.where), byte(s.flags))
	if f.measured {
		g := f.groups.at(s.group)
		b = binary.LittleEndian.AppendUint64(b, uint64(max(f.timesOf(s).tag-g.vtime, -f.burst())))
		return binary.LittleEndian.AppendUint32(b, uint32(s.credits))
	}
	return append(b, byte(s.credits), byte(min(f.class(s.group, s.class).round-s.round, uint32(f.credits))))
}

func (x *exRun) digestGroup(b []byte, f *Dispatcher[exEvent, uint8], group uint32, name map[uint32]byte) []byte {
	g := f.groups.at(group)
	b = append(b, byte(g.freshRun))
	for c := int32(1); c <= f.credits; c += 2 {
		b = x.digestList(b, f, *f.level(group, c), name)
	}
	b = x.digestList(b, f, f.class(group, 0).old, name)
	for _, e := range g.heap {
		b = append(b, name[e.ID])
	}
	if f.measured {
		b = binary.LittleEndian.AppendUint64(b, uint64(g.maxTag-g.vtime))
	}
	return append(b, 254)
}

func (x *exRun) digestList(b []byte, f *Dispatcher[exEvent, uint8], l slotList, name map[uint32]byte) []byte {
	for i := l.head; i != 0; i = f.slots.at(i).next {
		b = append(b, name[i])
	}
	return append(b, 253)
}

func exBit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func exTenant(e exEvent) string {
	if e.key == 0 {
		return "one"
	}
	return "two"
}

// exNode is a state: how it was reached.
type exNode struct {
	parent int32
	action uint8
}

// walk visits every state that can be reached.
func (x *exRun) walk() {
	x.nodes = append(x.nodes, exNode{parent: -1})
	var path []uint8
	for n := 0; n < len(x.nodes); n++ {
		path = path[:0]
		for at := int32(n); x.nodes[at].parent >= 0; at = x.nodes[at].parent {
			path = append(path, x.nodes[at].action)
		}
		slices.Reverse(path)
		x.path = path
		x.state = exState{flying: [exWorkers]int8{-1, -1}}
		x.f = x.here
		exCopy(x.here, x.start)
		for _, action := range path {
			x.act(action)
		}
		before := x.state
		x.f = x.there
		for action := range uint8(exActions) {
			exCopy(x.there, x.here)
			x.state = before
			x.path = append(path, action)
			if !x.act(action) {
				continue
			}
			x.steps++
			x.verify(x.there)
			key := x.digest(x.there)
			if _, ok := x.seen[key]; !ok {
				x.seen[key] = struct{}{}
				x.nodes = append(x.nodes, exNode{int32(n), action})
			}
		}
	}
}

func (x *exRun) now() int64 {
	if x.state.late {
		return int64(exTTL)
	}
	return 0
}

func (x *exRun) dispatch(f *Dispatcher[exEvent, uint8]) {
	f.Dispatch(dispatcher.Offer[exEvent]{Now: x.now()}, x)
}

func (x *exRun) verify(f *Dispatcher[exEvent, uint8]) {
	f.check(x.t)
	s := &x.state
	queued, flying := 0, 0
	for n := range s.status {
		switch s.status[n] {
		case exQueued:
			queued++
			expired := x.cfg.TTL > 0 && s.late && !s.fresh[n]
			key := x.stream[n]
			busy := 0
			for _, fl := range s.flying {
				if fl >= 0 && x.stream[fl] == key {
					busy++
				}
			}
			if (s.asked[0] || s.asked[1]) && !s.parked[key] && busy < max(1, x.cfg.UnorderedInFlight) && !expired {
				x.fail("a worker waits while event %d might be handed out", n)
			}
		case exFlying:
			flying++
		}
	}
	if f.Held() != queued || f.inflight != flying {
		x.fail("the dispatcher holds %d with %d in flight, it should be %d and %d", f.Held(), f.inflight, queued, flying)
	}
}

func (x *exRun) receipt(f *Dispatcher[exEvent, uint8], w int, o receipt.Outcome) {
	s := &x.state
	n := s.flying[w]
	rs := [1]dispatcher.Receipt[exEvent]{{
		Sub: w, Seq: uint64(n) + 1, Ticket: s.ticket[w], Outcome: o, Cost: int64(time.Millisecond),
		Event: exEvent{x.stream[n], uint8(n)},
	}}
	f.Receipts(x.now(), rs[:])
	s.flying[w] = -1
	s.status[n] = exEnded
	if rs[0].Outcome == receipt.Requeued {
		s.status[n] = exQueued
	} else if o == receipt.Returned {
		x.fail("event %d is not taken back", n)
	}
}

// What can happen: to worker w or key k by number.
const (
	exCome  = 0
	exLate  = 1
	exDone  = 2
	exFail  = exDone + exWorkers
	exDie   = exFail + exWorkers
	exAsk   = exDie + exWorkers
	exLeave = exAsk + exWorkers
	exPark  = exLeave + exWorkers

	exActions = exPark + exKeys
)

// act does one thing and lets it dispatch, or returns false if it cannot
// happen now.
func (x *exRun) act(action uint8) bool {
	s, f := &x.state, x.f
	w := int(action) % exWorkers
	switch {
	case action == exCome:
		n := s.came
		if n == exEvents {
			return false
		}
		full := f.full(0)
		if i, k := f.find(x.stream[n], f.index.hash(x.stream[n])); i != 0 && f.keyFull(k, 0) {
			full = true
		}
		s.came++
		s.status[n] = exQueued
		s.fresh[n] = s.late
		e := exEvent{x.stream[n], n}
		if f.Dispatch(dispatcher.Offer[exEvent]{Events: []exEvent{e}, First: uint64(n) + 1, Now: x.now()}, x) != 1 {
			if !full || x.cfg.Overflow == DropLongest || f.Demand() != 0 {
				x.fail("not taken")
			}
			return false // the source is paused: the event comes when there is room
		}
	case action == exLate:
		if s.late || x.cfg.TTL == 0 {
			return false
		}
		s.late = true
	case action < exAsk:
		if s.flying[w] < 0 {
			return false
		}
		x.receipt(f, w, []receipt.Outcome{receipt.Done, receipt.Failed, receipt.Returned}[(int(action)-exDone)/exWorkers])
		if action >= exDie {
			f.Cancel(w)
			_ = f.Subscribe(w, dispatcher.SubscribeConfig{})
		}
	case action < exPark:
		if s.flying[w] >= 0 || s.asked[w] != (action >= exLeave) {
			return false
		}
		if s.asked[w] = !s.asked[w]; s.asked[w] {
			f.Ask(w, 1)
			break
		}
		f.Cancel(w)
		_ = f.Subscribe(w, dispatcher.SubscribeConfig{})
	default:
		k := action - exPark
		if !slices.Contains(x.stream[:], k) {
			return false
		}
		if s.parked[k] = !s.parked[k]; s.parked[k] {
			f.Park(k)
		} else {
			f.Unpark(k)
		}
	}
	x.dispatch(f)
	return true
}

// exStreams are all ways to give 4 events to 3 keys that are not the same by
// renaming the keys.
func exStreams() (all [][exEvents]uint8) {
	for n := range 81 {
		var s [exEvents]uint8
		top, good := uint8(0), true
		for i := range s {
			s[i] = uint8(n % 3)
			n /= 3
			good = good && s[i] <= top
			if s[i] == top {
				top++
			}
		}
		if good {
			all = append(all, s)
		}
	}
	return all
}

func TestExhaustive(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config[exEvent]
		full bool // all streams in the ordinary run
	}{
		{"default", Config[exEvent]{Credits: 1}, true},
		{"expiry", Config[exEvent]{Credits: 1, TTL: exTTL}, false},
		{"retries", Config[exEvent]{Credits: 1, Retry: retry.Policy{MaxAttempts: 2, Backoff: retry.NoPause}}, false},
		{"two credits", Config[exEvent]{Credits: 3}, false},
		{"two in flight", Config[exEvent]{Credits: 1, UnorderedInFlight: 2}, false},
		{"tenants", Config[exEvent]{Credits: 1, Tenant: exTenant}, false},
		{"measured", Config[exEvent]{Credits: 1, MeasuredCost: true}, false},
		{"overflow", Config[exEvent]{Credits: 1, MaxEvents: 2, Overflow: DropLongest, KeyMaxEvents: 1, KeyOverflow: DropOldest, TTL: exTTL}, false},
		{"newest", Config[exEvent]{Credits: 1, MaxEvents: 2, Overflow: DropLongest, KeyMaxEvents: 1, KeyOverflow: DropNewest}, false},
		{"pause", Config[exEvent]{Credits: 1, MaxEvents: 2, KeyMaxEvents: 1, TTL: exTTL}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			states, steps := 0, 0
			streams := exStreams()
			if !tc.full && !long() {
				streams = [][exEvents]uint8{{0, 0, 1, 0}} // PENSTOCK_LONG=1 has all
			}
			if raced {
				streams = streams[:1]
			}
			for _, stream := range streams {
				x := &exRun{t: t, cfg: tc.cfg, stream: stream, seen: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
				x.start, x.here, x.there = x.newDispatcher(), x.newDispatcher(), x.newDispatcher()
				for w := range exWorkers {
					_ = x.start.Subscribe(w, dispatcher.SubscribeConfig{})
				}
				x.walk()
				states += len(x.seen)
				steps += x.steps
			}
			t.Logf("%d streams, %d states, %d steps", len(streams), states, steps)
		})
	}
}
