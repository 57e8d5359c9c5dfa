package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// errBatchPart is why events of a batch wait although the attempt for others of it was
// successful.
var errBatchPart = errors.New("other events of the batch wait")

// batchStep is what the handlers of EachBatch and MapBatch have in common. Batches are
// gathered on the stage's goroutine, and are jobs of a pool when they are closed. While no
// worker is free for it a batch stays open, whatever its age, since it can still grow.
type batchStep[T, Out any] struct {
	cfg    BatchConfig[T] // with its defaults
	at     stepPlace
	call   batchFunc[T, Out]
	policy batchPolicy
	pool   *pool[batchWork[T, batchPlace[T]]]
	wake   func() // wakes the stage, from any goroutine
	exits  exits
	traces batchTraces[T] // the spans of events that are held are of MapBatch

	// These belong to the stage's goroutine.
	self   *stage.Handle
	gather *gatherer[T, batchPlace[T]]
	ins    inflows[T]
	clock  batchClock
	seq    uint64 // of the key of the last batch without an order
	placed uint64 // events that have a place
	// ordered lets the events of a batch end with it, in their order, also if some of them
	// were tried again. It does not change.
	ordered bool
	left    int // events of the jobs that have left the pool
	early   int // events of those in it that have ended already

	// credit has the events of the jobs that have left or do not count against the window.
	// It is guarded by the pool's lock.
	credit account

	ending

	spent []batchEnd[T, batchPlace[T]] // the array of ends, empty, for use in turn

	mu    sync.Mutex // guards the rest
	ends  []batchEnd[T, batchPlace[T]]
	begun bool // HandleStart was called: wake can be
}

// newBatchStep returns a step for a config with its defaults. wake is set later.
func newBatchStep[T, Out any](call batchFunc[T, Out], cfg BatchConfig[T], at stepPlace) *batchStep[T, Out] {
	if at.wary {
		cfg = cfg.warily()
	}
	s := &batchStep[T, Out]{
		cfg: cfg, at: at, call: call, gather: newGatherer[T, batchPlace[T]](cfg.rule()),
		policy: batchPolicy{retry: cfg.Retry, split: cfg.Split},
	}
	// The pauses are decided by the step. The pool's own policy is for attempts that end
	// their goroutine.
	own := cfg.Retry
	own.Jitter = retry.NoJitter
	p := poolConfig[batchWork[T, batchPlace[T]]]{
		stage: at.stage, workers: cfg.Workers, maxHeld: max(1, cfg.MaxHeld/cfg.Size), keyed: true, rate: cfg.Rate,
		retry: own, halts: cfg.OnFailure == StopOnFailure, logger: at.logger, metrics: at.metrics,
		newCall: func() func(context.Context, *batchWork[T, batchPlace[T]]) error { return newBatchCall(s).work },
		ready:   func() { s.wake() },
		fail: func(err error) {
			s.halt(err)
			s.wake()
		},
	}
	p.bury, p.sampled = s.bury, s.sampled
	s.pool = newPool(p)
	return s
}

// HandleDefaultDemand implements stage.DefaultDemandHandler.
func (s *batchStep[T, Out]) HandleDefaultDemand() (maxDemand, minDemand int) {
	return s.cfg.Window, s.cfg.Window / 2
}

// HandleStart implements stage.StartHandler.
func (s *batchStep[T, Out]) HandleStart(ctx context.Context, self *stage.Handle) error {
	s.self = self
	s.traces.start(ctx)
	s.mu.Lock()
	s.begun = true
	s.mu.Unlock()
	s.clock.start(s.wake)
	s.pool.start(ctx)
	return nil
}

// HandleTerminate implements stage.TerminateHandler. It waits for the workers up to the
// pipeline's StopTimeout.
func (s *batchStep[T, Out]) HandleTerminate(context.Context, error) error {
	if s.self == nil {
		return nil // HandleStart was not reached
	}
	s.clock.stop()
	err := s.pool.close(s.at.stopTimeout)
	s.traces.open.Abandon()
	s.traces.calls.Abandon()
	if err != nil {
		return err
	}
	return s.stopped()
}

// gatherAll takes the events of a delivery. hold keeps an input; it is nil at an end.
func (s *batchStep[T, Out]) gatherAll(d stage.Delivery[T], hold func(i int) stage.Held) {
	in := s.ins.of(d.Subscription)
	in.arrived(len(d.Events))
	for at := 0; at < len(d.Events); {
		at = s.gatherFrom(in, d, at, hold)
	}
}

// gatherFrom takes the events from place at on, up to the first over which a function of
// the program panics, which fails alone. It returns the place to go on from.
func (s *batchStep[T, Out]) gatherFrom(in *inflow[T], d stage.Delivery[T], at int, hold func(i int) stage.Held) (next int) {
	i := at
	var c trace.Context // of the event, if it is to have a span
	place := func() batchPlace[T] {
		s.placed++
		p := batchPlace[T]{in: in, position: d.First + uint64(i), place: s.placed}
		if hold != nil {
			p.held = hold(i)
			s.traces.keep(c, p.held, s.at.stage)
		}
		return p
	}
	defer func() {
		if p := recover(); p != nil {
			s.submit(&gathered[T, batchPlace[T]]{events: []T{d.Events[i]}, places: []batchPlace[T]{place()}}, crash.Of(p))
			next = i + 1
		}
	}()
	now := s.clock.now()
	for ; i < len(d.Events); i++ {
		if hold != nil {
			c = trace.Context{}
			c = s.traces.sampled(&d.Events[i])
		}
		s.gather.add(now, s.gather.plan(d.Events[i]), place())
	}
	return i
}

// submit passes a closed batch to the pool. bad is set for an event that is in no batch.
func (s *batchStep[T, Out]) submit(b *gathered[T, batchPlace[T]], bad error) {
	key := b.key
	if bad != nil || s.cfg.Key == nil && s.pool.workers() > 1 {
		s.seq++ // a key of its own: there is no order
		key = "\x00" + strconv.FormatUint(s.seq, 36)
	}
	a := s.pool.begin()
	w := a.add(key, &s.credit, len(b.events))
	w.begin(b)
	w.bad = bad
	a.end()
}

// pass passes on the batches that are closed, and the open ones that are due, while there
// are workers without one.
func (s *batchStep[T, Out]) pass(now time.Duration) {
	for s.pool.slack() > 0 {
		b := s.gather.take()
		if b == nil {
			why, due := s.gather.due(now, s.full())
			if !due {
				break
			}
			s.gather.passOldest(why)
			b = s.gather.take()
		}
		s.submit(b, nil)
	}
	if at, ok := s.gather.deadline(); ok && s.pool.slack() > 0 {
		s.clock.wake(now, at)
	}
}

// full reports whether nothing more can come on a subscription before events are finished.
func (s *batchStep[T, Out]) full() bool {
	spare := s.spare()
	for _, in := range s.ins.list {
		if in.full(spare) {
			return true
		}
	}
	return false
}

// spare is how many events do not count against the window, since they wait for another
// attempt or behind one.
func (s *batchStep[T, Out]) spare() int {
	return max(0, s.pool.credit(&s.credit)-s.left-s.early)
}

// collect takes what has ended, and calls give for it. It reports whether the function
// needs no more.
func (s *batchStep[T, Out]) collect(give func(e *batchEnd[T, batchPlace[T]])) (done bool) {
	first := s.pool.take()
	s.mu.Lock()
	// After the jobs were taken: what they have passed on before their end is here.
	ends := s.ends
	s.ends, s.spent = s.spent, nil
	s.mu.Unlock()
	for i := range ends {
		s.early += len(ends[i].events)
		give(&ends[i])
	}
	clear(ends)
	s.spent = ends[:0]
	var last *job[batchWork[T, batchPlace[T]]]
	for j := first; j != nil; j = j.next {
		w := &j.data
		if len(w.parts) > 0 {
			w.giveUp(time.Now(), j.err)
		}
		done = done || j.err == stage.ErrDone
		for i := range w.ends {
			give(&w.ends[i])
		}
		s.left += int(j.weight)
		s.early -= w.given
		w.wipe()
		last = j
	}
	if first != nil {
		s.pool.recycle(first, last)
	}
	return done
}

// inPlace returns the ends of single events, in the order in which these came.
func inPlace[T any](ends []batchEnd[T, batchPlace[T]]) []batchEnd[T, batchPlace[T]] {
	var single []batchEnd[T, batchPlace[T]]
	for _, e := range ends {
		for i := range e.places {
			one := e
			one.events, one.places, one.at = e.events[i:i+1], e.places[i:i+1], e.at+i
			single = append(single, one)
		}
	}
	slices.SortFunc(single, func(a, b batchEnd[T, batchPlace[T]]) int { return cmp.Compare(a.places[0].place, b.places[0].place) })
	return single
}

// giveEarly passes on the ends of a batch whose other events wait for another attempt. It
// runs on a worker's goroutine.
func (s *batchStep[T, Out]) giveEarly(w *batchWork[T, batchPlace[T]]) {
	if !s.ordered && s.give(w) {
		s.wake()
	}
}

// give passes on the ends of a batch, but for those of events that have failed for good: they
// may have to wait for their letters. It reports whether there were any. The next batch of the
// key is begun later, so that its ends, early ones included, come after these. It runs on a
// worker's goroutine, and the caller has the stage woken.
func (s *batchStep[T, Out]) give(w *batchWork[T, batchPlace[T]]) (some bool) {
	if s.ordered && len(w.ends) > 1 {
		w.ends = inPlace(w.ends)
	}
	s.mu.Lock()
	before, kept := len(s.ends), w.ends[:0]
	for _, e := range w.ends {
		if e.failed {
			kept = append(kept, e)
			continue
		}
		s.ends = append(s.ends, e)
		w.given += len(e.events)
	}
	some = len(s.ends) > before
	s.mu.Unlock()
	clear(w.ends[len(kept):])
	w.ends = kept
	return some
}

// bury passes on what is left of a job that has failed for good, and sends a letter for each
// of its failed events, if there is a sink.
func (s *batchStep[T, Out]) bury(w *batchWork[T, batchPlace[T]], f failure, stored func()) bool {
	if len(w.parts) > 0 { // the attempt has ended its goroutine
		w.giveUp(f.last, f.err)
		s.pool.failedToo(w.failed - 1)
	}
	if s.give(w) {
		s.wake()
	}
	if s.at.letters == nil {
		return false
	}
	left := new(atomic.Int64)
	left.Store(int64(w.failed))
	done := func() {
		if left.Add(-1) == 0 {
			stored()
		}
	}
	var list []deadletter.Letter // before stored may be called, which ends the job
	for i := range w.ends {
		e := &w.ends[i]
		for k := range e.events {
			if !e.failed {
				continue
			}
			own := failure{err: e.err, attempts: e.tries, first: e.first, last: f.last}
			list = append(list, letterOf(s.at, e.events[k], s.cfg.Encode, w.key, own))
		}
	}
	for _, l := range list {
		s.at.letters.Send(l, done)
	}
	return true
}
