package stage_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/dispatcher"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// The model of receipts that pass several stages: events carry what they were
// made of, and the path that each part took. What must have been handled when a
// source's event is done follows from its number alone, however often it is
// redelivered and whatever it is gathered with.

// part is a descendant of the source's event id.
type part struct {
	id   int
	path string
}

// parts is an event: several parts once it was gathered. A part that was filtered
// out of a gathered event stays as a ghost, which shares its end.
type parts []part

const ghost = "-"

// one reports, for one part in so many, always the same for a part.
func (p part) one(in uint64) bool {
	h := fnv.New64a()
	fmt.Fprint(h, p.id, p.path)
	return h.Sum64()%in == 0
}

// The kinds of stages, as letters of a plan.
const (
	mapping   = 'm' // one event for each, some of which fail
	filtering = 'f' // drops some parts
	copying   = 'c' // two events for each, by the chunk
	splitting = 's' // two events for each, by the event
	gathering = 'g' // one event for two
)

// expected returns the paths that reach the end for one part, and whether some
// part fails on the way.
func expected(plan string, p part) (paths []string, fails bool) {
	if plan == "" {
		return []string{p.path}, false
	}
	var next []part
	switch kind := plan[0]; kind {
	case mapping:
		if p.one(13) {
			return nil, true
		}
		next = []part{{p.id, p.path + "m"}}
	case filtering:
		if !p.one(4) {
			next = []part{{p.id, p.path + "f"}}
		}
	case copying, splitting:
		next = []part{{p.id, p.path + "0"}, {p.id, p.path + "1"}}
	default:
		next = []part{p}
	}
	for _, n := range next {
		list, failed := expected(plan[1:], n)
		paths, fails = append(paths, list...), fails || failed
	}
	return paths, fails
}

// lineageRun is one run of a chain of stages.
type lineageRun struct {
	t    *testing.T
	rng  *rand.Rand
	plan string
	src  *again
	p    *stage.ProducerStage[parts]
	mid  []*stage.ProducerConsumerStage[parts, parts]
	fan  bool // the last stage broadcasts
	ends []*lineageEnd
	log  []string

	mu      sync.Mutex // guards what follows: handlers of several stages note it
	handled map[int]map[string]bool
	failed  map[int]bool
}

// fails notes that an event has failed.
func (r *lineageRun) fails(event parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range event {
		r.failed[p.id] = true
	}
}

// handles notes that an event was handled at the end of the chain.
func (r *lineageRun) handles(event parts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range event {
		if r.handled[p.id] == nil {
			r.handled[p.id] = map[string]bool{}
		}
		r.handled[p.id][p.path] = true
	}
}

// lineageEnd is a consumer whose receipts the test gives.
type lineageEnd struct {
	stage *stage.ConsumerStage[parts]
	sub   *stage.Subscription[parts]
	open  map[uint64]parts
}

func (e *lineageEnd) HandleEvents(context.Context, []parts) error { return nil }

func (e *lineageEnd) HandleDelivery(_ context.Context, d stage.Delivery[parts]) error {
	for i, event := range d.Events {
		e.open[d.First+uint64(i)] = event
	}
	return nil
}

// again is a source that emits an event anew when it was abandoned, as one that
// reads from a log does.
type again struct {
	r     *lineageRun
	emit  *stage.Emitter[parts]
	ids   []int // by sequence number
	ended map[uint64]receipt.Outcome
	final map[int]receipt.Outcome // by id, the last one
	redo  bool
}

func (s *again) HandleEmitter(emit *stage.Emitter[parts])                       { s.emit = emit }
func (s *again) HandleDemand(context.Context, int, *stage.Emitter[parts]) error { return nil }

func (s *again) give(id int) {
	s.ids = append(s.ids, id)
	s.emit.Emit(parts{{id: id}})
}

func (s *again) HandleReceipts(_ context.Context, receipts []stage.Receipt) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for _, r := range receipts {
		for seq := range r.Seqs() {
			id := s.ids[seq]
			if before, twice := s.ended[seq]; twice {
				s.r.t.Errorf("event %d: %v after %v", seq, r.Outcome, before)
			}
			s.ended[seq] = r.Outcome
			s.final[id] = r.Outcome
			switch r.Outcome {
			case receipt.Done:
				paths, _ := expected(s.r.plan, part{id: id})
				for _, path := range paths {
					if !s.r.handled[id][path] {
						s.r.t.Errorf("event %d is done, but %q of %d was not handled", seq, path, id)
					}
				}
			case receipt.Failed:
				// What is copied by the chunk fails by the chunk.
				if !s.r.failed[id] && !(strings.Contains(s.r.plan, string(copying)) && len(s.r.failed) > 0) {
					s.r.t.Errorf("event %d has failed, but nothing of %d has", seq, id)
				}
			case receipt.Abandoned:
				if s.redo {
					s.give(id)
				}
			default:
				s.r.t.Errorf("event %d: %v", seq, r.Outcome)
			}
		}
	}
	return nil
}

// transform returns a new handler of a kind.
func (r *lineageRun) transform(kind byte) stage.ProducerConsumer[parts, parts] {
	switch kind {
	case mapping:
		return stage.MapFunc[parts, parts](func(_ context.Context, event parts) (parts, error) {
			out := parts{}
			for _, p := range event {
				if p.path != ghost && p.one(13) {
					r.fails(event)
					return nil, errOops
				}
				out = append(out, p.with("m"))
			}
			return out, nil
		})
	case filtering:
		return stage.FlatMapFunc[parts, parts](func(_ context.Context, event parts, emit func(parts)) error {
			out, left := parts{}, 0
			for _, p := range event {
				if p.path == ghost || p.one(4) {
					out = append(out, part{p.id, ghost})
				} else {
					out = append(out, p.with("f"))
					left++
				}
			}
			if left > 0 {
				emit(out)
			}
			return nil
		})
	case copying:
		return stage.ProducerConsumerFunc[parts, parts](func(_ context.Context, events []parts, emit *stage.Emitter[parts]) error {
			for _, suffix := range []string{"0", "1"} {
				for _, event := range events {
					emit.Emit(event.with(suffix))
				}
			}
			return nil
		})
	case splitting:
		return stage.FlatMapFunc[parts, parts](func(_ context.Context, event parts, emit func(parts)) error {
			emit(event.with("0"))
			emit(event.with("1"))
			return nil
		})
	}
	return &gather{}
}

func (e parts) with(suffix string) parts {
	out := parts{}
	for _, p := range e {
		out = append(out, p.with(suffix))
	}
	return out
}

func (p part) with(suffix string) part {
	if p.path != ghost {
		p.path += suffix
	}
	return p
}

// gather makes one event of two, and of the last one alone.
type gather struct {
	emit  *stage.Emitter[parts]
	first parts
	held  []stage.Held
}

func (g *gather) HandleEmitter(emit *stage.Emitter[parts]) { g.emit = emit }

func (g *gather) HandleEvents(_ context.Context, events []parts, emit *stage.Emitter[parts]) error {
	for i, event := range events {
		g.held = append(g.held, emit.Hold(i))
		if len(g.held) == 1 {
			g.first = event
			continue
		}
		g.hand(slices.Concat(g.first, event))
	}
	return nil
}

func (g *gather) hand(event parts) {
	g.emit.For(g.held...)
	g.emit.Emit(event)
	g.held = g.held[:0]
}

func (g *gather) HandleFlush(context.Context) error {
	if len(g.held) > 0 {
		g.hand(g.first)
	}
	return nil
}

func TestModelReceiptsThroughStages(t *testing.T) {
	for seed := range uint64(*modelSeeds) {
		synctest.Test(t, func(t *testing.T) { runLineage(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func runLineage(t *testing.T, seed uint64) {
	r := &lineageRun{t: t, rng: rand.New(rand.NewPCG(seed, 9)), handled: map[int]map[string]bool{}, failed: map[int]bool{}}
	for range r.rng.IntN(4) {
		r.plan += string("mfcsg"[r.rng.IntN(5)])
	}
	r.fan = len(r.plan) > 0 && r.rng.IntN(4) == 0
	r.src = &again{r: r, ended: map[uint64]receipt.Outcome{}, final: map[int]receipt.Outcome{}, redo: true}
	r.p = stage.Must(stage.NewProducer(r.src, stage.ProducerConfig[parts]{BufferSize: stage.Unlimited, Dispatcher: r.dispatcher()}))
	if err := r.p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range r.plan {
		r.mid = append(r.mid, nil)
		r.begin(i)
	}
	ids := 0
	for range 40 {
		switch op := r.rng.IntN(12); {
		case op < 4:
			n := 1 + r.rng.IntN(6)
			first := ids
			ids += n
			r.note("emit %d", n)
			r.p.Do(func() {
				for id := first; id < ids; id++ {
					r.src.give(id)
				}
			})
		case op < 7:
			r.settle(r.rng.IntN(4))
		case op < 9:
			r.join()
		case op == 9 && len(r.mid) > 0:
			r.crash(r.rng.IntN(len(r.mid)))
		case op == 10 && len(r.ends) > 0:
			r.leave(r.ends[r.rng.IntN(len(r.ends))])
		}
		synctest.Wait()
		r.check()
		if t.Failed() {
			t.Fatalf("plan %q, fan %v, after %v", r.plan, r.fan, r.log)
		}
	}
	r.end(ids)
	if t.Failed() {
		t.Fatalf("plan %q, fan %v, after %v", r.plan, r.fan, r.log)
	}
}

func (r *lineageRun) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// dispatcher returns the default one, or one that is fair to a few keys and so
// waits for receipts.
func (r *lineageRun) dispatcher() dispatcher.Dispatcher[parts] {
	if r.rng.IntN(3) > 0 {
		return nil
	}
	return stage.Must(fair.New(func(event parts) int { return event[0].id % 5 }, fair.Config[parts]{}))
}

func (r *lineageRun) output(i int) stage.Output[parts] {
	if i < 0 {
		return r.p
	}
	return r.mid[i]
}

// begin starts a stage of the chain, or one in the place of one that has crashed.
func (r *lineageRun) begin(i int) {
	cfg := stage.ProducerConsumerConfig[parts]{Dispatcher: r.dispatcher()}
	if r.fan && i == len(r.plan)-1 {
		cfg.Dispatcher = dispatcher.NewBroadcast[parts]()
	}
	m := stage.Must(stage.NewProducerConsumer(r.transform(r.plan[i]), cfg))
	r.mid[i] = m
	if _, err := m.Subscribe(r.output(i-1), r.config()); err != nil {
		r.t.Fatal(err)
	}
	if err := m.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *lineageRun) config() stage.SubscribeConfig {
	return stage.SubscribeConfig{MaxDemand: 1 + r.rng.IntN(6), Cancel: stage.Temporary, Redeliver: r.rng.IntN(2) == 0}
}

// join adds a consumer at the end.
func (r *lineageRun) join() {
	if len(r.ends) == 3 {
		return
	}
	r.note("a consumer joins")
	e := &lineageEnd{open: map[uint64]parts{}}
	e.stage = stage.Must(stage.NewConsumer(e, stage.ConsumerConfig{}))
	var err error
	if e.sub, err = e.stage.Subscribe(r.output(len(r.plan)-1), r.config()); err != nil {
		r.t.Fatal(err)
	}
	if err := e.stage.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.ends = append(r.ends, e)
}

// settle gives receipts at every consumer, for up to n events each.
func (r *lineageRun) settle(n int) {
	if n < 1000 {
		r.note("settle %d", n)
	}
	for _, e := range r.ends {
		var list []stage.Finished
		positions := make([]uint64, 0, len(e.open))
		for position := range e.open {
			positions = append(positions, position)
		}
		slices.Sort(positions)
		if r.rng.IntN(2) == 0 { // otherwise they make runs
			r.rng.Shuffle(len(positions), func(i, j int) { positions[i], positions[j] = positions[j], positions[i] })
		}
		for _, position := range positions[:min(n, len(positions))] {
			event := e.open[position]
			delete(e.open, position)
			f := stage.Finished{Position: position}
			if r.rng.IntN(15) == 0 {
				f.Err = errOops
				r.fails(event)
			} else {
				r.handles(event)
			}
			list = append(list, f)
		}
		switch {
		case len(list) == 0:
		case r.rng.IntN(2) == 0:
			e.sub.SettleRuns(len(list), runsOf(list)...)
			synctest.Wait()
		default:
			e.sub.Settle(len(list), list...)
			synctest.Wait() // more may arrive at the others
		}
	}
}

// runsOf returns the receipts of list as runs.
func runsOf(list []stage.Finished) (runs []stage.FinishedRun) {
	for _, f := range list {
		if last := len(runs) - 1; last >= 0 && runs[last].First+uint64(runs[last].Count) == f.Position && runs[last].Err == f.Err {
			runs[last].Count++
			continue
		}
		runs = append(runs, stage.FinishedRun{First: f.Position, Count: 1, Err: f.Err})
	}
	return runs
}

// settleAll gives receipts until nothing arrives any more.
func (r *lineageRun) settleAll() {
	for synctest.Wait(); slices.ContainsFunc(r.ends, func(e *lineageEnd) bool { return len(e.open) > 0 }); synctest.Wait() {
		r.settle(1000)
	}
}

// crash ends a stage of the chain; another one takes its place.
func (r *lineageRun) crash(i int) {
	r.note("stage %d dies", i)
	if r.rng.IntN(2) == 0 {
		r.mid[i].Do(func() { panic(errOops) })
	} else {
		r.mid[i].Stop(errOops)
	}
	synctest.Wait()
	r.begin(i)
	if i+1 < len(r.mid) {
		if _, err := r.mid[i+1].Subscribe(r.mid[i], r.config()); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	for _, e := range r.ends {
		e.open = map[uint64]parts{}
	}
	r.ends = nil
}

// leave ends a consumer.
func (r *lineageRun) leave(e *lineageEnd) {
	r.note("a consumer dies")
	if r.rng.IntN(2) == 0 {
		e.stage.Do(func() { panic(errOops) })
	} else {
		e.stage.Stop(nil)
	}
	r.ends = slices.DeleteFunc(r.ends, func(other *lineageEnd) bool { return other == e })
}

// check compares what the source has emitted with what has become of it.
func (r *lineageRun) check() {
	s := snap(r.t, r.p)
	open := s.Buffered
	for _, sub := range s.Subscriptions {
		open += sub.InFlight
	}
	if int(s.Emitted) != open+len(r.src.ended) || len(r.src.ids) != int(s.Emitted) {
		r.t.Errorf("%d emitted, %d in flight or buffered, %d ended", s.Emitted, open, len(r.src.ended))
	}
}

// end handles whatever is left, and finds every event finished.
func (r *lineageRun) end(ids int) {
	r.join()
	r.settleAll()
	r.check()
	r.p.Drain() // the chain follows: its only source ends
	for _, m := range r.mid {
		m.Drain()
	}
	r.settleAll()
	for id := range ids {
		switch outcome, ok := r.src.final[id]; {
		case !ok:
			r.t.Errorf("%d was never finished", id)
		case outcome == receipt.Abandoned:
			r.t.Errorf("%d was abandoned at last", id)
		}
	}
}
