package penstock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// TestModelOfWholePipelines runs random pipelines with the default options, in virtual
// time, with failures, panics, hangs, crashes, drains and stops at random moments: nothing
// is lost by default, and nothing in silence. PENSTOCK_SEED=n runs one seed, and
// PENSTOCK_LONG=1 runs 20,000.
func TestModelOfWholePipelines(t *testing.T) {
	first, n := uint64(0), uint64(400)
	if os.Getenv("PENSTOCK_LONG") != "" {
		n = 20_000
	}
	if s := os.Getenv("PENSTOCK_SEED"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
		n = 1
	}
	for seed := first; seed < first+n; seed++ {
		synctest.Test(t, func(t *testing.T) { runModel(t, newPlan(seed)) })
		if t.Failed() {
			t.Fatalf("again with PENSTOCK_SEED=%d", seed)
		}
	}
}

func runModel(t *testing.T, p *plan) {
	r := &modelRun{
		t: t, plan: p, final: map[int]receipt.Outcome{},
		everGot: map[string]bool{}, failed: map[int]bool{}, accepted: map[int]bool{},
	}
	r.live(0)
	if p.levels[0].kind == fromLog && len(r.final) < p.n && len(r.faults) == 0 {
		from := 0
		for r.finished(from) {
			from++
		}
		r.plan = p.again()
		r.live(from)
		for id := range p.n {
			if !r.finished(id) {
				r.fault("event %d is not finished after the second life", id)
			}
		}
	}
	for _, fault := range r.faults[:min(len(r.faults), 10)] {
		t.Error(fault)
	}
	if t.Failed() {
		for _, line := range r.log.lines[max(0, len(r.log.lines)-30):] {
			t.Log(line)
		}
		t.Log(p)
	}
}

// finished reports whether the source has the receipt of an event.
func (r *modelRun) finished(id int) bool {
	_, ok := r.final[id]
	return ok
}

// live runs the pipeline once, with a log source from a position on, and checks what is
// left behind.
func (r *modelRun) live(from int) {
	p, rng := r.plan, rand.New(rand.NewPCG(r.plan.seed, 15))
	r.stages, r.queue, r.loop, r.repeats = nil, nil, nil, false
	r.got, r.order, r.tries, r.givenUp = map[string]int{}, map[string][]int{}, map[item]uint64{}, 0
	r.log.lines, r.log.sums = nil, map[string]int64{}
	r.leaving.Store(false)
	r.build(rng, from)
	line := stage.Must(stage.NewPipeline(stage.PipelineConfig{KeepRunning: p.keep, DrainTimeout: p.timeout, Logger: r.log.logger()}, r.stages...))
	begin, ended := time.Now(), make(chan struct{})
	var cancel context.CancelFunc
	r.looping, cancel = context.WithCancel(context.Background())
	defer cancel()
	looped := make(chan struct{})
	go func() {
		defer close(looped)
		if r.loop != nil {
			r.loop()
		}
	}()
	wait := func() {}
	if r.queue != nil {
		wait = r.queue.push(rng)
	}
	var err error
	go func() {
		defer close(ended)
		err = line.Run(context.Background())
	}()
	late := func(limit time.Duration) bool {
		select {
		case <-ended:
			return false
		case <-time.After(limit):
			return true
		}
	}
	limit := 10 * time.Minute // for a life that ends by itself
	if p.what != "" && late(p.at) {
		switch p.what {
		case "drain":
			line.Drain()
		case "stop":
			line.Stop(nil)
		case "crash":
			r.crash(rng)
			if late(p.then) {
				line.Drain()
			}
		}
		limit = min(limit, p.timeout+11*time.Second)
	}
	if late(limit) {
		r.fault("not at its end after %v: %+v", time.Since(begin), line.Snapshot(context.Background()))
		line.Stop(nil)
		<-ended
	}
	wait()
	<-looped
	time.Sleep(time.Hour) // what hangs returns
	r.check(err)
}

// crash ends a stage after the source, or leaves the loop over consumer.All.
func (r *modelRun) crash(rng *rand.Rand) {
	at := 1 + rng.IntN(len(r.stages))
	if at == len(r.stages) {
		if r.loop != nil {
			r.leaving.Store(true)
			return
		}
		at--
	}
	if rng.IntN(2) == 0 {
		r.stages[at].Do(func() { panic(errModel) })
	} else {
		r.stages[at].Stop(errModel)
	}
}

// check compares what the source has taken with what became of it.
func (r *modelRun) check(err error) {
	p := r.plan
	var discarded, abandoned, unhandled, failedAtEnd, failedOnWay int64
	for _, s := range r.stages {
		snap, snapErr := s.Snapshot(context.Background())
		if snapErr != nil || snap.Phase != stage.PhaseStopped {
			r.fault("%s: %v, %v", s.Name(), snap.Phase, snapErr)
		}
		lost := int64(0)
		for _, n := range snap.Discarded {
			lost += n
		}
		if snap.Emitted != snap.Delivered+int64(snap.Buffered)+lost || snap.Buffered > 0 {
			r.fault("%s: %d emitted, %d delivered, %d buffered, discarded %v", s.Name(), snap.Emitted, snap.Delivered, snap.Buffered, snap.Discarded)
		}
		discarded, abandoned, unhandled = discarded+lost, abandoned+snap.Abandoned, unhandled+snap.Unhandled
		failedOnWay += snap.Failed
		failedAtEnd += failures(snap.Handler)
	}
	for what, pair := range map[string][2]int64{
		"events discarded":         {discarded, r.log.sum("events discarded")},
		"events abandoned":         {abandoned, r.log.sum("events abandoned")},
		"events not handled":       {unhandled, r.log.sum("events were not handled")},
		"events failed on way":     {failedOnWay, r.log.sum("event failed m")},
		"events failed at end":     {failedAtEnd, r.log.sum("worker failed again false") + r.log.sum("batch failed again false") + r.log.sum("event failed again false")},
		"failures given to Failed": {failedAtEnd, r.givenUp},
	} {
		if pair[0] != pair[1] {
			r.fault("%s: %d are counted and %d are logged", what, pair[0], pair[1])
		}
	}
	src, _ := r.source.Snapshot(context.Background())
	taken, l := src.Emitted, r.ledger
	finished := l.counts[receipt.Done] + l.counts[receipt.Failed]
	ids, settled := r.settled()
	// What only some subscribers of a broadcast got, after another one has failed, has no
	// count of deliveries that were lost: its source has it again, in the second life.
	if lost := discarded + abandoned + unhandled; settled+lost < ids && !p.half() {
		r.fault("%d taken, %d settled, %d counted as lost: receipts %v", ids, settled, lost, l.counts)
	}
	// Without a crash, a stop or a deadline nothing is lost.
	if p.what != "crash" && p.what != "stop" && !errors.Is(err, stage.ErrDrainTimeout) {
		if finished != taken || discarded+abandoned+unhandled > 0 {
			r.fault("%d taken, %d finished, discarded %d, abandoned %d, not handled %d, error %v", taken, finished, discarded, abandoned, unhandled, err)
		}
		if errors.Is(err, stage.ErrHung) != (err != nil) {
			r.fault("error %v", err)
		}
	}
	if p.what != "crash" && !r.repeats {
		r.once()
	}
	if r.queue != nil {
		r.checkQueue(taken)
	}
	if errors.Is(err, stage.ErrDrainTimeout) && p.timeout > time.Minute {
		r.fault("the drain hangs: %v", err)
	}
}

// once checks that nothing was handled twice, and the order of each key where it is kept.
func (r *modelRun) once() {
	for name, n := range r.got {
		if n > 1 {
			r.fault("%s was handled %d times", name, n)
		}
	}
	if !r.plan.ordered() {
		return
	}
	for key, ids := range r.order {
		if !slices.IsSorted(ids) {
			r.fault("key %s: order %v", key, ids)
		}
	}
}

// checkQueue compares the pushes with what the queue's stage has taken.
func (r *modelRun) checkQueue(taken int64) {
	q := r.queue.Snapshot()
	full, closed := q.Refused.Full+q.Refused.Key, q.Refused.Closed
	logged := r.log.sum("pushes refused closed")
	if int(q.Pushed) != len(r.accepted) || q.Pushed != q.Taken+q.Discarded || q.Taken != taken || q.Waiting > 0 || q.Unfinished > 0 && r.plan.what == "drain" {
		r.fault("%d accepted, %d taken by the stage: %+v", len(r.accepted), taken, q)
	}
	// After the end each caller has ErrClosed; the log has one line a second of them.
	if full+closed != r.pushErrs || r.log.sum("pushes refused") != full+logged || logged > closed || logged == 0 && closed > 0 ||
		r.log.sum("events dropped from the queue") != q.Discarded {
		r.fault("%d pushes have failed, %d refusals are in the log: %+v", r.pushErrs, r.log.sum("pushes refused"), q)
	}
	// Each event that counts as done was handled, on each of its paths.
	done := int64(0)
	for id := range r.accepted {
		if r.complete(id) {
			done++
		}
	}
	if n := r.ledger.counts[receipt.Done]; n > done && !r.plan.half() {
		r.fault("%d are done, and %d were handled", n, done)
	}
}

// complete reports whether all that is made of an event was handled.
func (r *modelRun) complete(id int) bool {
	paths, fails := r.plan.expected(1, item{id: id, key: id % r.plan.keys})
	return !fails && !slices.ContainsFunc(paths, func(path string) bool { return !r.everGot[fmt.Sprint(id, path)] })
}

// settled returns how many different events the stage of the source has taken, and how many
// of them were handled or have failed. A receipt may come too late for the source.
func (r *modelRun) settled() (taken, settled int64) {
	all := map[int]bool{}
	for _, id := range r.ledger.ids {
		all[id] = true
	}
	taken = int64(len(all))
	if r.queue != nil {
		all = r.accepted
		taken = int64(len(all)) - r.queue.Snapshot().Discarded
	}
	for id := range all {
		if r.complete(id) || r.failed[id] {
			settled++
		}
	}
	return taken, settled
}
