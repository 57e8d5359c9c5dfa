package fair

import (
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
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
