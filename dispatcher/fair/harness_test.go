package fair

import (
	"fmt"
	"os"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/receipt"
)

// ev is the event of these tests: the n-th of its key.
type ev struct {
	key  string
	n    int
	sub  string
	size int
}

func evKey(e ev) string { return e.key }

// given is one event that was handed out and has not got a receipt yet.
type given struct {
	sub         int
	event       ev
	seq, ticket uint64
}

// rig drives a Dispatcher as a stage does and writes down what it decides.
type rig struct {
	t    testing.TB
	f    *Dispatcher[ev, string]
	now  int64
	next uint64
	made map[string]int

	flying    []given
	log       []given
	discarded []string // "key/n reason"
	lost      map[receipt.Reason]int
}

func newRig(t testing.TB, cfg Config[ev]) *rig {
	t.Helper()
	f, err := New(evKey, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, f: f, made: map[string]int{}, lost: map[receipt.Reason]int{}, next: 1}
}

func (r *rig) Give(int, int, int) { r.t.Fatal("the dispatcher holds events, it does not Give") }

func (r *rig) GiveHeld(sub int, e ev, seq, ticket uint64) {
	if ticket == 0 {
		r.t.Fatal("ticket 0")
	}
	g := given{sub, e, seq, ticket}
	r.flying = append(r.flying, g)
	r.log = append(r.log, g)
}

func (r *rig) Discard(e ev, _ uint64, reason receipt.Reason) {
	r.discarded = append(r.discarded, fmt.Sprintf("%s%d %s", e.key, e.n, reason))
	r.lost[reason]++
}

// workers subscribes n consumers that ask for one event each, and
// dispatches.
func (r *rig) workers(n int) *rig {
	r.t.Helper()
	for sub := range n {
		if err := r.f.Subscribe(sub, dispatcher.SubscribeConfig{}); err != nil {
			r.t.Fatal(err)
		}
		r.f.Ask(sub, 1)
	}
	r.dispatch()
	return r
}

// offer offers one event for each letter, numbered by key, and returns how
// many were taken.
func (r *rig) offer(keys ...string) int {
	events := make([]ev, len(keys))
	for i, k := range keys {
		r.made[k]++
		events[i] = ev{key: k, n: r.made[k]}
	}
	return r.offerEvents(events...)
}

func (r *rig) offerEvents(events ...ev) int {
	taken := r.f.Dispatch(dispatcher.Offer[ev]{Events: events, First: r.next, Now: r.now}, r)
	r.next += uint64(taken)
	return taken
}

func (r *rig) dispatch() { r.offerEvents() }

// finish gives the receipt of the i-th flying event, asks for one more on its
// subscription unless the consumer is gone, and dispatches.
func (r *rig) finish(i int, outcome receipt.Outcome) receipt.Outcome {
	g := r.flying[i]
	r.flying = append(r.flying[:i:i], r.flying[i+1:]...)
	rs := []dispatcher.Receipt[ev]{{Sub: g.sub, Seq: g.seq, Ticket: g.ticket, Outcome: outcome, Event: g.event}}
	r.f.Receipts(r.now, rs)
	r.f.Ask(g.sub, 1)
	r.dispatch()
	return rs[0].Outcome
}

// serve finishes the oldest flying event n times.
func (r *rig) serve(n int) *rig {
	for range n {
		if len(r.flying) == 0 {
			r.t.Fatal("nothing in flight")
		}
		r.finish(0, receipt.Done)
	}
	return r
}

// order is what was handed out so far, as "a1 b1 a2".
func (r *rig) order() string {
	s := ""
	for i, g := range r.log {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("%s%d", g.event.key, g.event.n)
	}
	return s
}

func (r *rig) want(order string) {
	r.t.Helper()
	if got := r.order(); got != order {
		r.t.Errorf("handed out %q, want %q", got, order)
	}
}

func (r *rig) wantDiscarded(want ...string) {
	r.t.Helper()
	if got := fmt.Sprint(r.discarded); got != fmt.Sprint(want) {
		r.t.Errorf("discarded %v, want %v", got, want)
	}
}

// drained checks that nothing is left anywhere, down to the last index.
func (r *rig) drained() {
	r.t.Helper()
	for range 1000 { // idle dispatches forget idle keys
		for len(r.flying) > 0 {
			r.finish(0, receipt.Done)
		}
		if r.f.live == 0 {
			break
		}
		r.now += 1e9
		r.dispatch()
	}
	s := r.f.Snapshot()
	if s.Held != 0 || s.InFlight != 0 || s.Backlogged != 0 || s.HeldBytes != 0 || s.Known != 0 || s.Delayed != 0 {
		r.t.Errorf("left behind: %+v", s)
	}
	r.f.check(r.t)
}

// check counts everything anew and compares it with what the dispatcher keeps
// account of.
func (f *Dispatcher[T, K]) check(t testing.TB) {
	t.Helper()
	var held, inflight, backlog, blocked, live, ready int
	var cohorts [256]int
	var bytes int64
	for i := uint32(1); i <= f.topSlot; i++ {
		s := f.slots.at(i)
		if s.where == whereFree {
			continue
		}
		live++
		listed := s.where == whereFresh || s.where == whereOld || s.where == whereHeaped
		if listed && s.group == rootGroup {
			ready++
		}
		if s.flags&flagTenant != 0 {
			if listed != (f.groups.at(s.head).ready > 0) {
				t.Fatalf("tenant %d listed %v with %d ready keys", i, listed, f.groups.at(s.head).ready)
			}
			continue
		}
		held += int(s.count)
		bytes += s.bytes
		inflight += int(s.inflight)
		if s.count > 0 {
			backlog++
			if s.inflight >= f.capacity {
				blocked++
			}
		}
		var n int
		var sum int64
		last := uint32(0)
		for it := s.head; it != 0; it = f.items.at(it).next {
			n++
			sum += int64(f.sizeOf(it))
			last = it
			cohorts[f.items.at(it).age]++
			if f.items.at(it).key != i {
				t.Fatalf("item %d of slot %d is slot %d's", it, i, f.items.at(it).key)
			}
		}
		if n != int(s.count) || sum != s.bytes || last != s.tail {
			t.Fatalf("slot %d has %d events of %d bytes up to %d, and counts %d of %d up to %d", i, n, sum, last, s.count, s.bytes, s.tail)
		}
		if want := f.depths.list(s.count, s.bytes); s.depth != want {
			t.Fatalf("slot %d is filed under depth %d, want %d", i, s.depth, want)
		}
		eligible := s.count > 0 && s.inflight < f.capacity && s.flags&flagParked == 0
		if eligible != (listed || s.where == whereDelayed && s.flags&flagDebtor == 0) {
			t.Fatalf("slot %d with %d events, %d in flight, flags %b sleeps in %d", i, s.count, s.inflight, s.flags, s.where)
		}
		if key := *f.index.keys.at(i); f.index.find(key, f.index.hash(key)) != i {
			t.Fatalf("slot %d is not found by its key %v", i, key)
		}
	}
	if held != f.held || bytes != f.heldBytes || inflight != f.inflight || backlog != f.backlog || live != f.live {
		t.Fatalf("counted held %d bytes %d in flight %d backlog %d live %d, kept %d %d %d %d %d",
			held, bytes, inflight, backlog, live, f.held, f.heldBytes, f.inflight, f.backlog, f.live)
	}
	for n, waiting := range cohorts {
		if waiting != f.ages.cohorts[n].waiting {
			t.Fatalf("%d events of cohort %d wait, counted %d", waiting, n, f.ages.cohorts[n].waiting)
		}
	}
	if blocked != f.blocked {
		t.Fatalf("%d keys wait for receipts, counted %d", blocked, f.blocked)
	}
	if f.top > 0 && ready != f.groups.at(rootGroup).ready {
		t.Fatalf("%d ready, counted %d", f.groups.at(rootGroup).ready, ready)
	}
}

func key(prefix string, i int) string { return fmt.Sprintf("%s%d", prefix, i) }

// long reports whether the tests may take minutes.
func long() bool { return os.Getenv("PENSTOCK_LONG") != "" }

// sized is n, or less of it with the race detector.
func sized(n int) int {
	if raced {
		return n / 5
	}
	return n
}
