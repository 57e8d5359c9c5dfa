package penstock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// modelLog adds up what the lines of a log stand for.
type modelLog struct {
	mu    sync.Mutex
	sums  map[string]int64 // by message, reason, and whether it is tried again
	lines []string
}

func (l *modelLog) logger() *slog.Logger                     { return slog.New(l) }
func (l *modelLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *modelLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *modelLog) WithGroup(string) slog.Handler            { return l }
func (l *modelLog) Handle(_ context.Context, rec slog.Record) error {
	what, n, line := rec.Message, int64(0), rec.Message
	stage := ""
	rec.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		switch a.Key {
		case "reason":
			what += " " + a.Value.String()
		case "again":
			what += " again " + a.Value.String()
		case "events", "count", "failures":
			n = a.Value.Int64()
		case "failed":
			n = -a.Value.Int64() // a total
		case "stage":
			stage = a.Value.String()
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	if n < 0 {
		l.sums[what+" "+stage] = -n
	} else {
		l.sums[what] += n
	}
	return nil
}

func (l *modelLog) sum(what string) (sum int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for message, n := range l.sums {
		if strings.HasPrefix(message, what) {
			sum += n
		}
	}
	return sum
}

// modelRun is one run of a plan: one or two lives of its pipeline.
type modelRun struct {
	t       *testing.T
	plan    *plan
	log     modelLog
	stages  []stage.Stage
	source  *stage.ProducerStage[item]
	ledger  *ledger
	queue   *pushes
	loop    func()
	looping context.Context
	leaving atomic.Bool
	final   map[int]receipt.Outcome // by id, over all lives
	repeats bool                    // events were emitted again in this life

	mu       sync.Mutex // guards what follows
	faults   []string
	got      map[string]int   // how often each path of an id was handled in this life
	everGot  map[string]bool  // in all
	order    map[string][]int // the ids of a key on a path, in this life
	failed   map[int]bool
	givenUp  int64
	tries    map[item]uint64
	pushErrs int64
	accepted map[int]bool
}

func (r *modelRun) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *modelRun) fails(v item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[v.id] = true
}

func (r *modelRun) hasFailed(id int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed[id]
}

// gaveUp notes that an event has failed for good at the end.
func (r *modelRun) gaveUp(v item) {
	r.fails(v)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.givenUp++
}

func (r *modelRun) handled(v item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := fmt.Sprint(v.id, v.path)
	r.got[name]++
	r.everGot[name] = true
	key := fmt.Sprint(v.key, v.path)
	r.order[key] = append(r.order[key], v.id)
}

func (r *modelRun) pushed(id int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.pushErrs++
	} else {
		r.accepted[id] = true
	}
}

// done checks an event whose source has been told that it is done.
func (r *modelRun) done(id int) {
	paths, fails := r.plan.expected(1, item{id: id, key: id % r.plan.keys})
	if fails {
		r.fault("event %d is done, and a stage has failed it", id)
	}
	if r.plan.half() && r.plan.keep {
		return // the others finish what the dead one does not get
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		if !r.everGot[fmt.Sprint(id, path)] {
			r.faults = append(r.faults, fmt.Sprintf("event %d is done, but %q of it was not handled", id, path))
		}
	}
}

// try returns which attempt at an item this is.
func (r *modelRun) try(v item) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries[v]++
	return r.tries[v]
}

// work is an attempt of a worker, or of the function of a ForEach.
func (r *modelRun) work(ctx context.Context, v item) error {
	err := r.workAll(ctx, []item{v})
	if each := (consumer.EventErrors{}); errors.As(err, &each) {
		return each[0]
	}
	return err
}

// workAll handles events in a random time: it may fail, panic, stall, or hang without a
// look at its context. It returns consumer.EventErrors, or another error for all of them.
func (r *modelRun) workAll(ctx context.Context, events []item) error {
	first := events[0]
	hash := first.hash("work", r.plan.seed*100+r.try(first))
	took, late := time.Duration(hash%30)*time.Millisecond, false
	switch hash / 32 % 60 {
	case 0:
		took = time.Second // a stall
	case 1: // a hang: a pool with a timeout has taken the event away by then
		took, late = 4*time.Second, r.plan.levels[len(r.plan.levels)-1].kind == timed
	case 2, 3, 4:
		return errModel
	case 5:
		panic(errModel)
	}
	timer := time.NewTimer(took)
	if hash/4096%2 == 0 && !late {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		<-timer.C
	}
	if late {
		return nil
	}
	failed := consumer.EventErrors{}
	for i, v := range events {
		if len(events) > 1 && v.one(12, "alone") {
			failed[i] = errModel
		} else {
			r.handled(v)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return failed
}

// failures returns how many events a consumer has failed for good.
func failures(handler any) int64 {
	switch h := handler.(type) {
	case consumer.SupervisorSnapshot:
		return h.Failed
	case consumer.BatchSnapshot:
		return h.Failed
	case consumer.ForEachSnapshot:
		return h.Failed
	}
	return 0
}
