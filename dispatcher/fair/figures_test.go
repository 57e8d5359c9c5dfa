package fair

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// backlogged keeps every key's queue at two events and more.
func (r *rig) backlogged(keys []string) {
	for _, k := range keys {
		for {
			if i := r.f.index.find(k, r.f.index.hash(k)); i != 0 && r.f.slots.at(i).count > 2 {
				break
			}
			r.offer(k)
		}
	}
}

// F1: between keys that are always backlogged the number of events served
// differs by one at most, at every moment.
func TestFigureServiceLag(t *testing.T) {
	const n = 50
	r := newRig(t, Config[ev]{})
	var keys []string
	for i := range n {
		keys = append(keys, key("k", i))
	}
	r.backlogged(keys)
	r.workers(1)
	served := map[string]int{}
	worst := 0
	for i := range 40_000 {
		served[r.log[len(r.log)-1].event.key]++
		if i == n*8+n { // credits are spent
			clear(served)
		} else if i > n*8+n {
			low, high := math.MaxInt, 0
			for _, k := range keys {
				low, high = min(low, served[k]), max(high, served[k])
			}
			worst = max(worst, high-low)
		}
		r.log = r.log[:0]
		r.finish(0, receipt.Done)
		if i%n == 0 {
			r.backlogged(keys)
		}
	}
	t.Logf("F1: lag %d over 40,000 dispatches and %d keys", worst, n)
	if worst > 1 {
		t.Errorf("lag %d, want 1", worst)
	}
}

// F1 across re-activations: a key that empties again and again gains no more
// than the events its credits stand for over one that never does.
func TestFigureServiceLagAcrossIdle(t *testing.T) {
	for _, credits := range []int{1, 8} {
		r := newRig(t, Config[ev]{Credits: credits})
		var keys []string
		for i := range 20 {
			keys = append(keys, key("k", i))
		}
		r.backlogged(keys)
		r.workers(1)
		serve := func() string {
			r.log = r.log[:0]
			r.finish(0, receipt.Done)
			r.backlogged(keys)
			return r.log[0].event.key
		}
		for range 500 {
			serve()
		}
		served := map[string]int{}
		worst := 0
		for i := range 20_000 {
			if i%7 == 0 && r.f.index.find("x", r.f.index.hash("x")) == 0 || i%97 == 0 {
				r.offer("x", "x", "x")
			}
			served[serve()]++
			worst = max(worst, served["x"]-served["k0"])
		}
		t.Logf("F1: with %d credits the key that comes and goes is ahead by %d at most", credits, worst)
		if worst > credits+1 {
			t.Errorf("ahead by %d, want %d", worst, credits+1)
		}
	}
}

// F2: a newcomer is served next, however many are backlogged.
func TestFigureNewcomer(t *testing.T) {
	f := option.Must(New(func(k int) int { return k }, Config[int]{MaxEvents: 4_000_000, MaxBytes: 1 << 40, Credits: 1}))
	_ = f.Subscribe(0, dispatcher.SubscribeConfig{})
	out := &countOut{}
	n := sized(1_000_000)
	batch := make([]int, 1000)
	seq := uint64(1)
	offer := func(events []int) {
		seq += uint64(f.Dispatch(dispatcher.Offer[int]{Events: events, First: seq}, out))
	}
	for range 3 {
		for i := 0; i < n; i += len(batch) {
			for j := range batch {
				batch[j] = i + j
			}
			offer(batch)
		}
	}
	one := func() int {
		f.Ask(0, 1)
		f.Dispatch(dispatcher.Offer[int]{}, out)
		f.Receipts(0, out.receipts)
		out.receipts = out.receipts[:0]
		return out.last
	}
	for range n + n/8 { // all have used their credit
		one()
	}
	for newcomer := -1; newcomer > -100; newcomer-- {
		one() // of seventeen keys in a row one is from the backlog
		offer([]int{newcomer})
		rank := 1
		for one() != newcomer {
			rank++
		}
		if rank > 1 {
			t.Fatalf("newcomer is dispatched as number %d", rank)
		}
	}
	t.Logf("F2: newcomers are dispatched first before %d backlogged keys", f.Snapshot().Backlogged)
}

// countOut takes decisions and keeps none but the last.
type countOut struct {
	last      int
	n         int
	discarded int
	receipts  []dispatcher.Receipt[int]
}

func (o *countOut) Give(int, int, int) {}
func (o *countOut) GiveHeld(sub int, e int, seq, ticket uint64) {
	o.n++
	o.last = e
	o.receipts = append(o.receipts, dispatcher.Receipt[int]{Sub: sub, Seq: seq, Ticket: ticket})
}
func (o *countOut) Discard(int, uint64, receipt.Reason) { o.discarded++ }

// F6: the least share of any backlogged key in windows of 100 and 1,000 rounds.
func TestFigureShare(t *testing.T) {
	var keys []string
	for i := range 20 {
		keys = append(keys, key("k", i))
	}
	for _, tc := range []struct {
		rounds int
		want   float64
	}{{100, 0.95}, {1000, 0.99}} {
		r := newRig(t, Config[ev]{})
		r.backlogged(keys)
		r.workers(3)
		for range 400 {
			r.finish(len(r.flying)/2, receipt.Done)
			r.backlogged(keys)
		}
		served := map[string]int{}
		for range tc.rounds * len(keys) {
			r.log = r.log[:0]
			r.finish(len(r.flying)/2, receipt.Done)
			for _, g := range r.log {
				served[g.event.key]++
			}
			r.backlogged(keys)
		}
		least := 1.0
		stuck := map[string]bool{}
		for _, g := range r.flying { // never finished: they have no part in it
			stuck[g.event.key] = true
		}
		free := 0
		for _, k := range keys {
			if served[k] > tc.rounds/2 {
				free++
			}
		}
		for _, k := range keys {
			if served[k] > tc.rounds/2 || !stuck[k] {
				least = min(least, float64(served[k])*float64(free)/float64(tc.rounds*len(keys)))
			}
		}
		t.Logf("F6: least share %.4f of the fair one over %d rounds", least, tc.rounds)
		if least < tc.want {
			t.Errorf("want at least %.2f", tc.want)
		}
	}
}

// F8: memory per active key and per event, and none for idle keys.
func TestFigureMemory(t *testing.T) {
	n := sized(1_000_000)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	f := option.Must(New(func(k int) int { return k }, Config[int]{MaxEvents: 8 * n, MaxBytes: 1 << 40}))
	out := &countOut{}
	_ = f.Subscribe(0, dispatcher.SubscribeConfig{})
	batch := make([]int, 1000)
	seq := uint64(1)
	fill := func() {
		for i := 0; i < n; i += len(batch) {
			for j := range batch {
				batch[j] = i + j
			}
			seq += uint64(f.Dispatch(dispatcher.Offer[int]{Events: batch, First: seq}, out))
		}
	}
	fill()
	one := heap() - before
	fill()
	two := heap() - before
	perEvent := float64(two-one) / float64(n)
	perKey := float64(one)/float64(n) - perEvent
	t.Logf("F8: %.0f bytes per active key, %.0f per event, %.0f MB for %d keys", perKey, perEvent, float64(one)/1e6, n)
	if perKey > 128 || perEvent > 48+8 || one > uint64(200*n) {
		t.Errorf("want 128 per key, 48 per event besides its 8, and 200 MB")
	}
	f.Ask(0, 2*n)
	for f.Held() > 0 || f.inflight > 0 {
		f.Dispatch(dispatcher.Offer[int]{}, out)
		f.Receipts(0, out.receipts)
		out.receipts = out.receipts[:0]
	}
	for range 2 * n / forgivePerIdle {
		f.Ask(0, 1)
		f.Dispatch(dispatcher.Offer[int]{}, out)
	}
	out.receipts = nil
	idle := heap() - before
	t.Logf("F8: %d keys known and %.1f MB when %d keys are idle", f.live, float64(idle)/1e6, n)
	if f.live != 0 || idle > 4e6 {
		t.Errorf("%d keys are still known, %d bytes", f.live, idle)
	}
	runtime.KeepAlive(f)
}

// Ten million keys of one event each cannot make a bounded dispatcher grow, whether
// they are served, dropped or both.
func TestFigureManyKeys(t *testing.T) {
	n := sized(1_000_000)
	if long() {
		n = 10_000_000
	}
	f := option.Must(New(func(k int) int { return k }, Config[int]{MaxEvents: 1000, Overflow: DropLongest}))
	out := &countOut{}
	_ = f.Subscribe(0, dispatcher.SubscribeConfig{})
	seq := uint64(1)
	most := 0
	for k := range n {
		if k%3 == 0 {
			f.Ask(0, 1)
		}
		seq += uint64(f.Dispatch(dispatcher.Offer[int]{Events: []int{k}, First: seq}, out))
		if k%5 == 0 {
			f.Receipts(0, out.receipts)
			out.receipts = out.receipts[:0]
		}
		most = max(most, f.live)
	}
	t.Logf("%d keys: %d served, %d dropped, %d known at most, %d slots", n, out.n, out.discarded, most, f.topSlot)
	if most > 1000+1024+10 || int(f.topSlot) > 2100 {
		t.Errorf("%d keys known at once with room for 1,000 events", most)
	}
	if out.n < n/4 || out.n+out.discarded+f.held != n {
		t.Errorf("%d served and %d dropped", out.n, out.discarded)
	}
}

// A stream of ever new keys does not starve those that wait.
func TestNewKeysDoNotStarveOld(t *testing.T) {
	for _, measured := range []bool{false, true} {
		r := newRig(t, Config[ev]{Credits: 1, MeasuredCost: measured})
		for range 20 {
			r.offer("a", "b")
		}
		r.workers(1).serve(3)
		n := 0
		for i := range 2000 {
			r.offer(key("new", i))
			r.log = r.log[:0]
			r.finish(0, receipt.Done)
			if k := r.log[0].event.key; k == "a" || k == "b" {
				n++
			}
		}
		if n < 30 {
			t.Errorf("measured %v: old keys got %d of 2,000", measured, n)
		}
		if r.f.live > 2000+1024+10 {
			t.Errorf("measured %v: %d keys known", measured, r.f.live)
		}
	}
}

// The steady state allocates nothing.
func TestAllocatesNothing(t *testing.T) {
	for name, cfg := range map[string]Config[ev]{
		"default":  {},
		"overflow": {MaxEvents: 64},
		"weights":  {Weights: []int{1, 4}, Class: func(e ev) int { return len(e.key) % 2 }},
		"tenants":  {Tenant: func(e ev) string { return e.key[:1] }},
		"measured": {MeasuredCost: true},
		"rate":     {Rate: Rate{PerSecond: 1e6, Burst: 10}},
	} {
		f := option.Must(New(evKey, cfg))
		_ = f.Subscribe(0, dispatcher.SubscribeConfig{})
		out := &stillOut{receipts: make([]dispatcher.Receipt[ev], 0, 64)}
		var events []ev
		for i := range 32 {
			events = append(events, ev{key: strings.Repeat("x", i%3) + key("k", i%17)})
		}
		seq, now := uint64(1), int64(0)
		round := func() {
			now += 1e6
			f.Ask(0, 16)
			seq += uint64(f.Dispatch(dispatcher.Offer[ev]{Events: events, First: seq, Now: now}, out))
			f.Receipts(now, out.receipts)
			out.receipts = out.receipts[:0]
		}
		for range 2000 {
			round()
		}
		if n := testing.AllocsPerRun(1000, round); n != 0 {
			t.Errorf("%s: %v allocations for 32 events", name, n)
		}
	}
}

type stillOut struct{ receipts []dispatcher.Receipt[ev] }

func (o *stillOut) Give(int, int, int) {}
func (o *stillOut) GiveHeld(sub int, e ev, seq, ticket uint64) {
	o.receipts = append(o.receipts, dispatcher.Receipt[ev]{Sub: sub, Seq: seq, Ticket: ticket, Cost: 1000})
}
func (o *stillOut) Discard(ev, uint64, receipt.Reason) {}

// F9: a key that stops and comes back in order to be a newcomer again gets no
// more than its fair share, whatever its bursts and its pauses.
func TestFigureGaming(t *testing.T) {
	var keys []string
	for i := range 20 {
		keys = append(keys, key("k", i))
	}
	for _, burst := range []int{1, 2, 7, 8, 9, 16, 100} {
		worst := 0.0
		for _, pause := range []int{-1, 0, 1, 5, 10, 20, 21, 40, 160, 170, 300} {
			r := newRig(t, Config[ev]{})
			r.backlogged(keys)
			r.workers(1)
			serve := func() string {
				r.log = r.log[:0]
				r.finish(0, receipt.Done)
				r.backlogged(keys)
				return r.log[0].event.key
			}
			for range 200 {
				serve()
			}
			gamer, others, waiting := 0, 0, 0
			for range sized(20_000) {
				i := r.f.index.find("x", r.f.index.hash("x"))
				idle := i == 0 || r.f.slots.at(i).count == 0 && r.f.slots.at(i).inflight == 0
				if idle {
					waiting++
				}
				// A pause of -1 waits until the key is forgotten.
				if pause < 0 && i == 0 || pause >= 0 && idle && waiting > pause {
					waiting = 0
					for range burst {
						r.offer("x")
					}
				}
				if serve() == "x" {
					gamer++
				} else {
					others++
				}
			}
			worst = max(worst, float64(gamer)*float64(len(keys))/float64(others))
		}
		t.Logf("F9: bursts of %3d get %.3f of a fair share at best", burst, worst)
		if worst > 1.1 {
			t.Errorf("want at most 1.1")
		}
	}
}
