package fair

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/receipt"
)

// TestSecurity holds the row of docs/security.md that is about this package.
func TestSecurity(t *testing.T) { t.Run("S23_sybil_users", sybilUsers) }

// visit is an event of a user, offered at a tick.
type visit struct {
	user  uint64
	at    int64
	known bool // of the users whom we have known before
}

// town drives a Dispatcher with a number of workers that take as many ticks for an
// event as there are workers, so that one event is finished in each tick.
type town struct {
	f       *Dispatcher[visit, uint64]
	workers int64
	busy    [][]errand // by the tick at which they end, modulo their number
	now     int64
	next    uint64
	waits   []int64 // of known users, in ticks
	lost    map[bool]int
}

type errand struct {
	sub         int
	event       visit
	seq, ticket uint64
}

func newTown(t *testing.T, workers int, cfg Config[visit]) *town {
	t.Helper()
	w := &town{f: option.Must(New(func(v visit) uint64 { return v.user }, cfg)), workers: int64(workers), busy: make([][]errand, workers+1), next: 1, lost: map[bool]int{}}
	for sub := range workers {
		if err := w.f.Subscribe(sub, dispatcher.SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		w.f.Ask(sub, 1)
	}
	return w
}

func (w *town) Give(int, int, int) { panic("the dispatcher holds events, it does not Give") }

func (w *town) GiveHeld(sub int, e visit, seq, ticket uint64) {
	if e.known {
		w.waits = append(w.waits, w.now+w.workers-e.at)
	}
	at := (w.now + w.workers) % int64(len(w.busy))
	w.busy[at] = append(w.busy[at], errand{sub, e, seq, ticket})
}

func (w *town) Discard(e visit, _ uint64, _ receipt.Reason) { w.lost[e.known]++ }

func (w *town) tick(arrivals []visit) {
	w.now++
	done := w.busy[w.now%int64(len(w.busy))]
	for _, g := range done {
		w.f.Receipts(w.now, []dispatcher.Receipt[visit]{{Sub: g.sub, Seq: g.seq, Ticket: g.ticket, Outcome: receipt.Done, Event: g.event}})
		w.f.Ask(g.sub, 1)
	}
	w.busy[w.now%int64(len(w.busy))] = done[:0]
	taken := w.f.Dispatch(dispatcher.Offer[visit]{Events: arrivals, First: w.next, Now: w.now}, w)
	w.next += uint64(taken)
	for _, e := range arrivals[taken:] {
		w.lost[e.known]++
	}
}

// run lets known users come at 0.4 of what the workers can do, and beside them
// fresh users of the given ids, two in each tick. It returns the known users'
// p99 in ticks, and what the heap grew by.
func (w *town) run(ticks int, fresh func(n uint64) uint64) (p99 int64, heap int64) {
	random := rand.New(rand.NewPCG(1, 2))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var arrivals [3]visit
	n := uint64(0)
	w.waits = slices.Grow(w.waits, ticks)
	for range ticks {
		list := arrivals[:0]
		if random.Float64() < 0.4 {
			list = append(list, visit{user: 1 + random.Uint64N(200), at: w.now + 1, known: true})
		}
		if fresh != nil {
			for range 2 {
				n++
				list = append(list, visit{user: 1<<63 | fresh(n), at: w.now + 1})
			}
		}
		w.tick(list)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	slices.Sort(w.waits)
	return w.waits[len(w.waits)*99/100], int64(after.HeapAlloc) - int64(before.HeapAlloc) - int64(8*cap(w.waits))
}

// sybilUsers lets 10^6 users come that were never seen before, 10^7 with
// PENSTOCK_LONG, at twice the rate that could be served.
func sybilUsers(t *testing.T) {
	const workers, bound = 64, 100_000 // MaxEvents' default
	ticks := 500_000
	if os.Getenv("PENSTOCK_LONG") != "" {
		ticks = 5_000_000
	}
	tenants := Config[visit]{Overflow: DropLongest, Tenant: func(v visit) string {
		if v.known {
			return "known"
		}
		return "fresh"
	}}
	alone, _ := newTown(t, workers, tenants).run(ticks, nil)
	const counted = "counted"
	users := map[string]func(n uint64) uint64{
		counted:             func(n uint64) uint64 { return n },
		"same low bits":     func(n uint64) uint64 { return n << 32 },
		"multiples of 2^20": func(n uint64) uint64 { return n << 20 },
	}
	times := map[string]time.Duration{}
	for name, fresh := range users {
		w := newTown(t, workers, tenants)
		begin := time.Now()
		beside, heap := w.run(ticks, fresh)
		times[name] = time.Since(begin)
		t.Logf("%s: known users' p99 %d ticks alone, %d beside %d fresh users (%.2f times); heap %d bytes, %v", name, alone, beside, 2*ticks, float64(beside)/float64(alone), heap, times[name])
		if float64(beside) > 1.1*float64(alone) {
			t.Errorf("%s: known users' p99 is %d ticks beside the fresh ones and %d without", name, beside, alone)
		}
		// When the dispatcher is full, the key with the most waiting events
		// loses one: that is a known user with two.
		t.Logf("%s: of %d events of known users %d were dropped", name, w.lost[true]+len(w.waits), w.lost[true])
		if w.lost[true] > len(w.waits)/20 {
			t.Errorf("%s: %d events of known users were dropped and %d delivered", name, w.lost[true], len(w.waits))
		}
		s := w.f.Snapshot()
		if s.Held > bound {
			t.Errorf("%s: %d events held, want %d at most", name, s.Held, bound)
		}
		if heap > 512*bound {
			t.Errorf("%s: the heap grew by %d bytes for a bound of %d events", name, heap, bound)
		}
	}
	for name, d := range times {
		// A quadratic cost would be thousands of times as much, each time. What other programs
		// take of the machine comes and goes.
		for try := 1; d > 10*times[counted]+5*time.Second; try++ {
			if try == 3 {
				t.Errorf("%s took %v, counted ids %v, and as much more %d times", name, d, times[counted], try)
				break
			}
			for _, again := range []string{counted, name} {
				begin := time.Now()
				newTown(t, workers, tenants).run(ticks, users[again])
				times[again] = time.Since(begin)
			}
			d = times[name]
		}
	}
	// What it is like without the level of tenants: documented, not promised.
	w := newTown(t, workers, Config[visit]{Overflow: DropLongest})
	beside, _ := w.run(ticks/10, func(n uint64) uint64 { return n })
	t.Logf("without tenants: p99 %d ticks beside %d fresh users, %d of %d events of known users dropped", beside, ticks/5, w.lost[true], w.lost[true]+len(w.waits))
}

// TestFullOfSingleEvents: when no key has more than one event, the largest
// tenant makes room for the others, and for itself it does not.
func TestFullOfSingleEvents(t *testing.T) {
	for name, cfg := range map[string]Config[ev]{
		"turns":    {},
		"weights":  {Weights: []int{1, 4}, Class: func(e ev) int { return len(e.key) % 2 }},
		"measured": {MeasuredCost: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Overflow, cfg.MaxEvents, cfg.Intake = DropLongest, 6, 1
			cfg.Tenant = func(e ev) string { return e.key[:1] }
			r := newRig(t, cfg)
			r.offer("a1", "a2", "a3", "a4", "b1", "b2") // full
			r.offer("b3")                               // a has more
			if r.lost[receipt.QueueFull] != 1 || !strings.HasPrefix(r.discarded[0], "a") {
				t.Fatalf("discarded %v", r.discarded)
			}
			r.offer("b4") // three each: the new one goes
			r.offer("c1") // has nothing yet
			if r.lost[receipt.QueueFull] != 3 || !strings.HasPrefix(r.discarded[1], "b4") || strings.HasPrefix(r.discarded[2], "c") {
				t.Fatalf("discarded %v", r.discarded)
			}
			r.workers(1)
			r.drained()
		})
	}
	r := newRig(t, Config[ev]{Overflow: DropLongest, MaxEvents: 2, Intake: 1}) // no tenants
	r.offer("a1", "a2", "b1")
	if len(r.discarded) != 1 || !strings.HasPrefix(r.discarded[0], "b1") {
		t.Errorf("discarded %v", r.discarded)
	}
}
