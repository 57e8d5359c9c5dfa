package fair

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

// refDispatcher is a plain model of what the package promises: queues as
// slices, everything looked for by looking at everything. It does not choose,
// it judges.
type refDispatcher struct {
	t      testing.TB
	cfg    Config[ev]
	now    int64
	keys   map[string]*refKey
	subs   map[int]int // demand
	flying map[uint64]given
	flight map[uint64]refEvent // the same as it was queued
	ended  int
	came   int
	turn   given // the last one of this dispatch
}

type refKey struct {
	queue  []refEvent
	flying []uint64 // seqs
	parked bool
	tat    int64 // no lateness is made up for
	least  int64 // all of it is
	until  int64 // the end of the last pause of its events
}

type refEvent struct {
	event    ev
	seq      uint64
	deadline int64
	tries    int
	back     bool  // it was in flight before
	until    int64 // the end of its pause
}

func (m *refDispatcher) key(k string) *refKey {
	if m.keys[k] == nil {
		m.keys[k] = &refKey{}
	}
	return m.keys[k]
}

func (m *refDispatcher) held() (events int, bytes int64) {
	for _, k := range m.keys {
		events += len(k.queue)
		bytes += k.bytes()
	}
	return events, bytes
}

func (k *refKey) bytes() (sum int64) {
	for _, e := range k.queue {
		sum += int64(e.event.size)
	}
	return sum
}

func (m *refDispatcher) capacity() int { return max(1, m.cfg.UnorderedInFlight) }

func (m *refDispatcher) Give(int, int, int) { m.t.Fatal("the dispatcher does not Give") }

func (m *refDispatcher) GiveHeld(sub int, e ev, seq, ticket uint64) {
	k := m.key(e.key)
	if len(k.queue) == 0 || k.queue[0].seq != seq || k.queue[0].event != e {
		m.t.Fatalf("%v %d handed out, first of its key is %v", e, seq, k.queue[:min(1, len(k.queue))])
	}
	if m.subs[sub] == 0 {
		m.t.Fatalf("%d has not asked", sub)
	}
	m.subs[sub]--
	// A turn goes on with the same key and subscription.
	goesOn := m.turn.event.key == e.key && m.turn.sub == sub && len(k.flying) < m.cfg.Turn
	if len(k.flying) >= m.capacity() && !goesOn || k.parked {
		m.t.Fatalf("key %s has %d in flight, parked %v", e.key, len(k.flying), k.parked)
	}
	if d := k.queue[0].deadline; d != 0 && d <= m.now {
		m.t.Fatalf("%v is expired", e)
	}
	if k.queue[0].until > m.now {
		m.t.Fatalf("%v is handed out in its pause", e)
	}
	if r := m.cfg.Rate; r.PerSecond > 0 {
		t := int64(float64(time.Second) / r.PerSecond)
		if k.least-t*int64(max(r.Burst, 1)-1) > m.now {
			m.t.Fatalf("key %s is over its rate", e.key)
		}
		k.tat = max(k.tat, m.now) + t
		k.least = max(k.least, m.now-maxLateness) + t // with all the lateness that can be made up for
	}
	m.turn = given{sub, e, seq, ticket}
	m.flying[seq] = m.turn
	k.flying = append(k.flying, seq)
	m.flight[seq] = k.queue[0]
	k.queue = k.queue[1:]
}

func (m *refDispatcher) Discard(e ev, seq uint64, reason receipt.Reason) {
	k := m.key(e.key)
	at := slices.IndexFunc(k.queue, func(q refEvent) bool { return q.seq == seq })
	if at < 0 {
		m.t.Fatalf("%v %d discarded (%s) but not held", e, seq, reason)
	}
	switch reason {
	case receipt.Expired:
		if d := k.queue[at].deadline; at != 0 || d == 0 || d > m.now {
			m.t.Fatalf("%v is not expired", e)
		}
	case receipt.KeyFull:
		if len(k.queue) <= m.cfg.KeyMaxEvents && k.bytes() <= m.cfg.KeyMaxBytes {
			m.t.Fatalf("key %s is not full with %d", e.key, len(k.queue))
		}
		last := at == len(k.queue)-1
		if m.cfg.KeyOverflow == DropNewest && !last || m.cfg.KeyOverflow != DropNewest && at != 0 && int64(e.size) <= m.cfg.KeyMaxBytes {
			m.t.Fatalf("%v is event %d of its key", e, at)
		}
	case receipt.QueueFull:
		events, bytes := m.held()
		if events <= m.cfg.MaxEvents && bytes <= m.cfg.MaxBytes {
			m.t.Fatalf("not full with %d events and %d bytes", events, bytes)
		}
		if at != 0 {
			m.t.Fatalf("%v is not the oldest of its key", e)
		}
		var d depths
		d.init(m.cfg.MaxEvents, m.cfg.MaxBytes)
		mine := d.list(uint32(len(k.queue)), k.bytes())
		for name, other := range m.keys {
			if d.list(uint32(len(other.queue)), other.bytes()) > mine {
				m.t.Fatalf("%v dropped from a queue of %d while %s has %d", e, len(k.queue), name, len(other.queue))
			}
		}
	case receipt.Conflated:
		if !slices.ContainsFunc(k.queue[at+1:], func(q refEvent) bool { return q.event.sub == e.sub }) {
			m.t.Fatalf("%v is the latest of its sub-key", e)
		}
		newest := len(k.queue) - 1
		k.queue[at] = k.queue[newest] // takes its place
		k.queue = k.queue[:newest]
		m.ended++
		return
	default:
		m.t.Fatalf("reason %s", reason)
	}
	k.queue = slices.Delete(k.queue, at, at+1)
	m.ended++
}

// randomDispatcher drives a Dispatcher and the model by what next returns.
type randomDispatcher struct {
	t    testing.TB
	next func(n int) int // below n
	f    *Dispatcher[ev, string]
	m    *refDispatcher
	seq  uint64
	keys int
	left []ev // offered and not taken
	step int
}

func newRandomDispatcher(t testing.TB, next func(int) int) *randomDispatcher {
	cfg := Config[ev]{
		MaxEvents:         []int{2, 20, 300}[next(3)],
		MaxBytes:          []int64{100, 1000, 1 << 20}[next(3)],
		Size:              func(e ev) int { return e.size },
		Overflow:          []Overflow{DropLongest, Pause}[next(2)],
		KeyOverflow:       []Overflow{DropOldest, DropNewest, Conflate, Pause}[next(4)],
		KeyMaxEvents:      []int{0, 1, 3, 40}[next(4)],
		KeyMaxBytes:       []int64{0, 12, 120}[next(3)],
		SubKey:            func(e ev) string { return e.sub },
		Credits:           []int{1, 2, 8, 64}[next(4)],
		UnorderedInFlight: []int{0, 0, 3}[next(3)],
		TTL:               []time.Duration{0, 50 * time.Millisecond}[next(2)],
		Retry: retry.Policy{
			MaxAttempts: 1 + next(3), Backoff: []time.Duration{retry.NoPause, 30 * time.Millisecond}[next(2)], Jitter: retry.NoJitter,
		},
		MeasuredCost: next(3) == 0,
		MaxParked:    3,
	}
	if cfg.KeyMaxEvents == 0 && cfg.KeyMaxBytes == 0 && cfg.KeyOverflow < Conflate {
		cfg.KeyMaxEvents = max(1, cfg.MaxEvents/8) // the policies that drop need a bound
	}
	if next(3) == 0 {
		cfg.Rate = Rate{PerSecond: []float64{10, 1000}[next(2)], Burst: next(4)}
	}
	if next(3) == 0 {
		cfg.Weights = []int{1, 5, 64}
		cfg.Class = func(e ev) int { return len(e.key) % 3 }
	}
	if next(3) == 0 {
		cfg.Tenant = func(e ev) string { return e.key[len(e.key)-1:] }
	}
	if cfg.UnorderedInFlight == 0 && !cfg.MeasuredCost && cfg.Weights == nil && cfg.Tenant == nil {
		cfg.Turn = next(5)
		if cfg.Turn > 1 {
			cfg.Retry = retry.Policy{MaxAttempts: 1}
		}
	}
	r := &randomDispatcher{t: t, next: next, f: option.Must(New(evKey, cfg)), seq: 1, keys: []int{3, 30, 500}[next(3)]}
	r.m = &refDispatcher{t: t, cfg: r.f.cfg, keys: map[string]*refKey{}, subs: map[int]int{}, flying: map[uint64]given{}, flight: map[uint64]refEvent{}}
	for sub := range 4 {
		_ = r.f.Subscribe(sub, dispatcher.SubscribeConfig{})
		r.m.subs[sub] = 0
	}
	return r
}

// offer offers what is left and n events more.
func (r *randomDispatcher) offer(n int) {
	for range n {
		key := "k" + strconv.Itoa(r.next(r.keys))
		if r.next(2) == 0 {
			key = "k0" // a flood
		}
		r.left = append(r.left, ev{key, r.step, strconv.Itoa(r.next(3)), r.next(40)})
	}
	m := r.m
	// In the model every event arrives at the end of its key's queue; what was
	// not taken is taken off again.
	taken := 0
	for taken < len(r.left) {
		e := r.left[taken]
		k := m.key(e.key)
		q := refEvent{event: e, seq: r.seq}
		if m.cfg.TTL > 0 {
			q.deadline = m.now + int64(m.cfg.TTL)
		}
		k.queue = append(k.queue, q)
		m.turn = given{}
		if r.f.Dispatch(dispatcher.Offer[ev]{Events: r.left[taken : taken+1], First: r.seq, Now: m.now}, m) == 0 {
			if m.cfg.Overflow == DropLongest && m.cfg.KeyOverflow != Pause {
				r.t.Fatalf("%v not taken", e)
			}
			if r.f.Demand() != 0 {
				r.t.Fatal("demand while paused")
			}
			k = m.key(e.key)
			at := slices.IndexFunc(k.queue, func(q refEvent) bool { return q.seq == r.seq })
			k.queue = slices.Delete(k.queue, at, at+1)
			break
		}
		r.seq++
		m.came++
		taken++
	}
	r.left = r.left[taken:]
	if len(r.left) > 100 {
		r.left = r.left[:0]
	}
}

// finish ends the delivery of some event in flight.
func (r *randomDispatcher) finish(outcome receipt.Outcome) {
	m := r.m
	if len(m.flying) == 0 {
		return
	}
	seqs := make([]uint64, 0, len(m.flying))
	for s := range m.flying {
		seqs = append(seqs, s)
	}
	slices.Sort(seqs)
	g := m.flying[seqs[r.next(len(seqs))]]
	rs := []dispatcher.Receipt[ev]{{Sub: g.sub, Seq: g.seq, Ticket: g.ticket, Outcome: outcome, Event: g.event, Cost: int64(r.next(1e7))}}
	if outcome == receipt.Done && !m.cfg.MeasuredCost && r.next(2) == 0 {
		r.f.Done(m.now, []dispatcher.Done{{Seq: g.seq, Ticket: g.ticket}, {Seq: g.seq, Ticket: g.ticket}, {Seq: g.seq + 1, Ticket: 0}})
	} else {
		r.f.Receipts(m.now, rs)
	}
	delete(m.flying, g.seq)
	k := m.key(g.event.key)
	k.flying = slices.DeleteFunc(k.flying, func(s uint64) bool { return s == g.seq })
	e := m.flight[g.seq]
	delete(m.flight, g.seq)
	back := outcome == receipt.Returned
	if outcome == receipt.Failed && e.tries+1 < m.cfg.Retry.MaxAttempts {
		e.tries++
		e.until = m.now + int64(m.cfg.Retry.Pause(e.tries))
		k.until = max(k.until, e.until)
		back = true
	}
	if back != (rs[0].Outcome == receipt.Requeued) {
		r.t.Fatalf("outcome %v became %v", outcome, rs[0].Outcome)
	}
	if !back {
		m.ended++
		return
	}
	e.back = true
	at := 0
	for at < len(k.queue) && k.queue[at].back && k.queue[at].seq < e.seq {
		at++
	}
	k.queue = slices.Insert(k.queue, at, e)
}

func (r *randomDispatcher) act() {
	m := r.m
	m.turn = given{}
	r.step++
	switch op := r.next(20); {
	case op < 7:
		r.offer(1 + r.next(3))
	case op < 12:
		sub := r.next(4)
		n := 1 + r.next(3)
		m.subs[sub] += n
		r.f.Ask(sub, n)
	case op < 16:
		r.finish(receipt.Done)
	case op < 17:
		r.finish([]receipt.Outcome{receipt.Failed, receipt.Returned, receipt.Abandoned}[r.next(3)])
	case op < 18:
		key := "k" + strconv.Itoa(r.next(r.keys))
		if k := m.key(key); k.parked {
			k.parked = false
			r.f.Unpark(key)
		} else {
			k.parked = r.f.Park(key)
		}
	case op < 19:
		m.now += int64(r.next(1e8))
	default:
		sub := r.next(4)
		m.subs[sub] = 0
		r.f.Cancel(sub)
		_ = r.f.Subscribe(sub, dispatcher.SubscribeConfig{})
	}
	m.turn = given{}
	r.f.Dispatch(dispatcher.Offer[ev]{Now: m.now}, m)
	r.judge()
}

// judge looks at everything.
func (r *randomDispatcher) judge() {
	m := r.m
	asked := 0
	for _, n := range m.subs {
		asked += n
	}
	events, bytes := m.held()
	if events != r.f.Held() || bytes != r.f.heldBytes {
		r.t.Fatalf("the dispatcher holds %d events of %d bytes, it should be %d of %d", r.f.Held(), r.f.heldBytes, events, bytes)
	}
	if m.came != m.ended+events+len(m.flying) {
		r.t.Fatalf("%d came, %d ended, %d held, %d in flight", m.came, m.ended, events, len(m.flying))
	}
	if r.step%16 == 0 {
		r.f.check(r.t)
	}
	if asked == 0 {
		return
	}
	for name, k := range m.keys {
		if len(k.queue) == 0 || k.parked || len(k.flying) >= m.capacity() {
			continue
		}
		wake, ok := r.f.Wake()
		if k.until > m.now-(1<<tickBits) && ok && wake <= k.until+(2<<tickBits) {
			continue
		}
		if rate := m.cfg.Rate; rate.PerSecond > 0 {
			t := int64(float64(time.Second) / rate.PerSecond)
			at := k.tat - t*int64(max(rate.Burst, 1)-1)
			if at > m.now-(1<<tickBits) && ok && wake <= at+(2<<tickBits) {
				continue
			}
		}
		r.t.Fatalf("%d asked for while key %s has %d events", asked, name, len(k.queue))
	}
}

// F12: TestRandom runs 100,000 steps, or PENSTOCK_STEPS of them.
func TestRandom(t *testing.T) {
	steps := 100_000
	if s := os.Getenv("PENSTOCK_STEPS"); s != "" {
		steps, _ = strconv.Atoi(s)
	}
	const each = 1000
	first := rand.Uint64()
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	for run := range steps / each {
		randomRun(t, first+uint64(run), each)
	}
	t.Logf("F12: %d steps from seed %d: no event lost, no wake-up lost, no worker idle beside an event for it", steps/each*each, first)
}

func randomRun(t *testing.T, seed uint64, steps int) {
	passed := false
	defer func() {
		if !passed {
			t.Logf("again with PENSTOCK_SEED=%d PENSTOCK_STEPS=%d", seed, steps)
		}
	}()
	r := newRandomDispatcher(t, rand.New(rand.NewPCG(seed, 0)).IntN)
	for range steps {
		r.act()
	}
	if n, function := r.f.Misused(); n > 0 {
		t.Fatalf("%d values of %s count as misused", n, function)
	}
	passed = true
}

// FuzzDispatcher lets the fuzzer choose options and steps.
func FuzzDispatcher(f *testing.F) {
	for seed := range uint64(16) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRandomDispatcher(t, func(n int) int {
			if len(b) == 0 {
				return 0
			}
			v := int(b[0])
			b = b[1:]
			if n > 256 && len(b) > 0 {
				v = v<<8 | int(b[0])
				b = b[1:]
			}
			return v % n
		})
		for len(b) > 0 && r.step < 1000 {
			r.act()
		}
	})
}
