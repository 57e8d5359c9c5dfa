package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// poolConfig is what a pool needs of its owner, which is a handler of one stage. The
// functions are called without the pool's lock.
type poolConfig[J any] struct {
	stage   string // its name
	workers int
	maxHeld int
	ordered bool // results leave in the order in which jobs were added
	keyed   bool // add gets keys: one job of a key at a time, in order, no order of results
	rate    Rate
	keyRate Rate
	timeout time.Duration // of an attempt; 0 for none
	retry   retry.Policy  // with its defaults filled in
	halts   bool          // an event that has failed for good stops the stage
	wary    bool          // the owner runs no job itself, since it may end the goroutine

	// newCall makes the function that makes an attempt, once for each goroutine. It may
	// be called from any goroutine.
	newCall func() func(ctx context.Context, data *J) error
	// isolate prepares a copy of a job's data for an attempt with a timeout, which may go on
	// when its job has ended: what the attempt writes is the copy's own. The original counts
	// the attempt, also one that does not return.
	isolate func(data, original *J)
	// sampled returns the context of a job's span, zero without one. nil traces nothing. A
	// worker calls it for a job that it has begun.
	sampled func(data *J) trace.Context
	// bury sends a dead letter and has stored called once, from any goroutine, when it is
	// stored. It reports whether there is one. nil sends none.
	bury func(data *J, f failure, stored func()) bool
	// ready is called from any goroutine when take may have something, or ask, once until
	// take is called.
	ready func()
	// fail is called from any goroutine to stop the stage.
	fail func(err error)

	logger  *slog.Logger
	metrics metrics.Recorder
}

// failure is an event that has failed for good.
type failure struct {
	err         error
	attempts    int
	first, last time.Time
}

// pool runs jobs on goroutines of its own, and gives their results back to its owner. What
// it does is decided by its core.
type pool[J any] struct {
	cfg   poolConfig[J]
	ctx   context.Context
	epoch time.Time     // of the core's times
	quiet chan struct{} // closed when the pool stops and no goroutine is left
	notes notes

	// mu guards the rest. Nothing is called and nothing is sent with it held.
	mu       sync.Mutex
	core     core[J]
	idle     *worker[J]   // a stack, linked by next
	crew     []*worker[J] // all but the stuck ones
	free     *job[J]      // linked by next
	told     bool         // ready was called, and take was not since
	nudge    bool         // ready is to be called although there may be no result
	closed   bool         // results are not given out any more
	timer    *time.Timer  // calls tick
	alarm    int64        // when it does; noTime if it is not set
	lookAt   int64        // when to look for runs that take long; noTime for never
	quieted  bool
	leaving  int // goroutines that the core counts no more, and that still give their last results
	retries  int64
	failures int64
}

// newPool returns a pool without goroutines.
func newPool[J any](cfg poolConfig[J]) *pool[J] {
	p := &pool[J]{
		cfg: cfg, quiet: make(chan struct{}), alarm: noTime, lookAt: noTime, epoch: time.Now(), notes: newNotes(cfg.stage, cfg.logger, cfg.metrics),
	}
	p.core.rules = coreRules{workers: cfg.workers, maxHeld: cfg.maxHeld, ordered: cfg.ordered && !cfg.keyed, keyed: cfg.keyed}
	if cfg.rate.PerSecond > 0 {
		p.core.rate.set(cfg.rate, 0)
	}
	if cfg.keyRate.PerSecond > 0 {
		p.core.rate.each = newKeyLimiter[string](cfg.keyRate, maxRatedKeys)
	}
	return p
}

// start begins the life of the pool. ctx is that of the attempts. It is called before
// anything else.
func (p *pool[J]) start(ctx context.Context) {
	p.ctx = ctx
}

// clock returns the time since the start of the pool.
func (p *pool[J]) clock() int64 { return int64(time.Since(p.epoch)) }

// adding is under way between begin and end, with the lock held.
type adding[J any] struct {
	pool *pool[J]
	now  int64
}

// begin locks the pool in order to add jobs. The caller must call end, and nothing of the
// program before that.
func (p *pool[J]) begin() adding[J] {
	now := p.clock()
	p.mu.Lock()
	return adding[J]{p, now}
}

// add adds a job with a key, if the pool has keys, that takes weight of the window of an
// account. The caller fills in the returned data before it adds the next.
func (a adding[J]) add(key string, account *account, weight int) *J {
	p := a.pool
	j := p.free
	if j == nil {
		p.grow()
		j = p.free
	}
	p.free = j.next
	j.account, j.weight, j.arrived = account, int32(weight), a.now
	p.core.add(j, key)
	return &j.data
}

// end unlocks the pool and lets its goroutines begin.
func (a adding[J]) end() { a.pool.unlock(a.now) }

// grow makes free jobs, several in one array.
func (p *pool[J]) grow() {
	jobs := make([]job[J], 64)
	for i := range jobs {
		jobs[i].next = p.free
		p.free = &jobs[i]
	}
}

// take returns the results that may leave, linked by next, or nil. The caller returns them
// with recycle.
func (p *pool[J]) take() *job[J] {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told, p.nudge = false, false
	if p.closed {
		return nil
	}
	list := p.core.results.first
	p.core.results = jobList[J]{}
	return list
}

// recycle returns the jobs that take has returned, from first to last, whose data the
// caller has cleared.
func (p *pool[J]) recycle(first, last *job[J]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last.next = p.free
	p.free = first
}

// unlock ends a change of the core: goroutines are woken for what may run now, and the
// owner for the results.
func (p *pool[J]) unlock(now int64) {
	c := p.core.summon(now)
	woken := p.pop(c.wake)
	p.arm(now)
	tell := p.tell()
	p.mu.Unlock()
	p.rouse(woken, c.start)
	if tell {
		p.cfg.ready()
	}
}

// tell reports whether ready is to be called.
func (p *pool[J]) tell() bool {
	if p.told || p.closed || p.core.results.n == 0 && !p.nudge {
		return false
	}
	p.told = true
	return true
}

// pop takes n goroutines off the stack of idle ones, linked by next.
func (p *pool[J]) pop(n int) *worker[J] {
	if n == 0 {
		return nil
	}
	first := p.idle
	last := first
	for range n - 1 {
		last = last.next
	}
	p.idle, last.next = last.next, nil
	return first
}

// rouse wakes idle goroutines, and starts new ones.
func (p *pool[J]) rouse(idle *worker[J], start int) {
	for w := idle; w != nil; {
		next := w.next // the worker may park again as soon as it is woken
		w.wake <- struct{}{}
		w = next
	}
	for range start {
		go newWorker(p).loop(false)
	}
}

// arm sets the timer for the next time at which the core or the lookout has something to
// do. An earlier time that is set already is kept: tick sets the next.
func (p *pool[J]) arm(now int64) {
	at := min(p.core.due(now), p.lookAt)
	if at >= p.alarm || p.core.phase != coreWorking {
		return
	}
	p.alarm = at
	d := time.Duration(max(0, at-now))
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.tick)
	} else {
		p.timer.Reset(d)
	}
}

// tick runs on a timer's goroutine.
func (p *pool[J]) tick() {
	now := p.clock()
	p.mu.Lock()
	p.alarm = noTime
	p.core.tick(now)
	if now >= p.lookAt {
		p.look(now)
	}
	p.unlock(now)
}

// stop begins no job any more, and lets the goroutines leave that have none.
func (p *pool[J]) stop() {
	p.mu.Lock()
	p.core.stop()
	if p.timer != nil {
		p.timer.Stop()
	}
	woken := p.pop(p.core.surplus().wake)
	p.hush()
	p.mu.Unlock()
	p.rouse(woken, 0)
}

// hush closes quiet when a pool that stops has no goroutine left.
func (p *pool[J]) hush() {
	if !p.quieted && p.leaving == 0 && p.core.quiet() {
		p.quieted = true
		close(p.quiet)
	}
}

// close stops the pool and waits for its goroutines. It returns an error that wraps
// stage.ErrHung if some have not returned within the time.
func (p *pool[J]) close(timeout time.Duration) error {
	p.stop()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.quiet:
	case <-timer.C:
	}
	p.mu.Lock()
	p.closed = true
	left := p.core.crew.size + p.core.crew.stuck + p.leaving
	p.mu.Unlock()
	p.notes.rest()
	if left > 0 {
		return fmt.Errorf("%d workers did not return within %v: %w", left, timeout, stage.ErrHung)
	}
	return nil
}

// discarded reports whether err says that the event was dropped on purpose.
func discarded(err error) bool {
	_, ok := errors.AsType[*stage.DiscardError](err)
	return ok
}
