package stage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
