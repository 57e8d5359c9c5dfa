package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// worker is a goroutine of a pool, which takes runs of jobs and reports what became of
// them. The first group of fields belongs to it.
type worker[J any] struct {
	pool   *pool[J]
	call   func(ctx context.Context, data *J) error
	wake   chan struct{} // holds one token at most
	did    int           // jobs of the run that were successful, from the front
	failed error         // of the job after them
	local  J             // with a timeout: the data that the attempt works on

	// span is, in the upper half, how many jobs of the run the goroutine has begun, and in
	// the lower half how many it may. The lookout takes the others away.
	span atomic.Uint64

	// The rest is guarded by pool.mu. The goroutine reads run without it, up to what it
	// has begun.
	run   [maxRun]*job[J]
	reach int // jobs of the next run at most: few after a failure, since those behind it are given back
	busy  bool
	round uint64 // counts runs
	seen  uint64 // the round at the last look
	begun int64
	// waited is how long the first job of the run has, -1 if it was attempted before. It
	// belongs to the goroutine.
	waited int64
	// sampled is the context of the span of that job, zero without one. It belongs to the
	// goroutine.
	sampled trace.Context
	lost    bool // its job has timed out, and another goroutine reports that
	next    *worker[J]
}

func newWorker[J any](p *pool[J]) *worker[J] {
	return &worker[J]{pool: p, call: p.cfg.newCall(), wake: make(chan struct{}, 1), reach: maxRun}
}

// loop is the goroutine. ran is set if it takes over a run from one that was ended by a
// function of the program with Goexit, or that does not return.
func (w *worker[J]) loop(ran bool) {
	clean := false
	defer func() {
		if !clean {
			w.exited()
		}
	}()
	// The goroutine can be started by any other one, whose labels it would have.
	pprof.SetGoroutineLabels(w.pool.ctx)
	if !ran {
		w.join()
	}
	for w.step(ran) {
		ran = true
		w.attempt()
	}
	clean = true
}

// join enters the goroutine into the pool's list.
func (w *worker[J]) join() {
	w.pool.mu.Lock()
	w.pool.crew = append(w.pool.crew, w)
	w.pool.mu.Unlock()
}

// step reports the run that has ended, if ran is set, and takes the next one, for which it
// waits if there is none. It returns false if the goroutine is to leave.
func (w *worker[J]) step(ran bool) bool {
	p := w.pool
	for {
		now := p.clock()
		var v verdict
		if ran && w.failed != nil {
			v = p.judge(w.failed, w.run[w.did].attempt, now)
		}
		stopping := p.ctx.Err() != nil
		p.mu.Lock()
		if w.lost {
			p.core.crew.stuck--
			p.hush()
			p.mu.Unlock()
			return false
		}
		if stopping {
			p.core.stop() // its owner is about to
		}
		var after func()
		did, took := 0, int64(0)
		if ran {
			did, took = max(1, w.did), now-w.begun
			after = w.report(v, now)
		} else {
			p.core.crew.waking--
		}
		do := w.seek(now)
		p.unlock(now)
		if after != nil {
			after()
		}
		if did > 0 {
			p.notes.ran(did, took, w.sampled)
		}
		switch do {
		case orderRun:
			return true
		case orderLeave:
			p.left()
			return false
		}
		<-w.wake
		ran = false
	}
}

// seek takes the next run, with the lock held.
func (w *worker[J]) seek(now int64) order {
	p := w.pool
	room := w.run[:w.reach]
	if p.cfg.timeout > 0 {
		room = room[:1]
	}
	n, do := p.core.seek(room, now)
	w.busy = do == orderRun
	switch do {
	case orderRun:
		w.did, w.failed = 0, nil
		w.span.Store(uint64(n)) // before the lookout can see the run
		w.round++
		w.begun = now
		w.waited = -1
		if first := w.run[0]; first.attempt == 1 {
			w.waited = now - first.arrived
		}
		if n > 1 && p.lookAt == noTime {
			p.lookAt = now + lookEvery
		}
	case orderPark:
		// Under the lock of the decision: an idle worker that the core counts is always
		// in the stack.
		w.next, p.idle = p.idle, w
	case orderLeave:
		p.remove(w)
		p.leaving++
	}
	return do
}

// left ends a goroutine that has nothing to do any more, not even for its last run.
func (p *pool[J]) left() {
	p.mu.Lock()
	p.leaving--
	p.hush()
	p.mu.Unlock()
}

// report passes the ended run to the core, with the lock held. It returns what is to be
// done without the lock, nil for nothing.
func (w *worker[J]) report(v verdict, now int64) (after func()) {
	p, c := w.pool, &w.pool.core
	end := int(uint32(w.span.Load()))
	c.size.note(max(1, w.did), now-w.begun)
	for _, j := range w.run[:w.did] {
		c.done(j, nil)
	}
	if v.kind == verdictNone {
		clear(w.run[:end])
		w.reach = min(2*w.reach, maxRun)
		return nil
	}
	w.reach = max(1, w.did)
	for i := end - 1; i > w.did; i-- {
		c.back(w.run[i])
	}
	after = p.rule(w.run[w.did], v, now)
	clear(w.run[:end])
	return after
}

// remove takes a worker off the list of all.
func (p *pool[J]) remove(w *worker[J]) {
	for i, x := range p.crew {
		if x == w {
			last := len(p.crew) - 1
			p.crew[i], p.crew[last] = p.crew[last], nil
			p.crew = p.crew[:last]
			return
		}
	}
}

// attempt runs the jobs of the run, up to the first that fails. A panic is a failure.
func (w *worker[J]) attempt() {
	defer crash.Catch(&w.failed)
	p := w.pool
	if p.cfg.timeout > 0 {
		w.span.Add(1 << 32)
		w.begins()
		if w.failed = w.limited(p.cfg.timeout); w.failed == nil {
			w.did = 1
		}
		return
	}
	for {
		v := w.span.Add(1 << 32)
		at := int(v>>32) - 1
		if at >= int(uint32(v)) {
			return
		}
		if at == 0 {
			w.begins()
		}
		if err := w.call(p.ctx, &w.run[at].data); err != nil {
			w.failed = err
			return
		}
		w.did = at + 1
	}
}

// begins measures how long the first job of the run has waited, when it is begun.
func (w *worker[J]) begins() {
	w.sampled = trace.Context{}
	if f := w.pool.cfg.sampled; f != nil {
		w.sampled = f(&w.run[0].data)
	}
	w.pool.notes.begins(w.waited, w.sampled)
}

// limited makes an attempt with a timeout. An attempt that does not return in time after
// its context was cancelled, within a tenth of the timeout, loses its job.
func (w *worker[J]) limited(timeout time.Duration) error {
	p, j, round := w.pool, w.run[0], w.round
	w.local = j.data
	if p.cfg.isolate != nil {
		p.cfg.isolate(&w.local, &j.data)
	}
	ctx, cancel := context.WithTimeoutCause(p.ctx, timeout, ErrTimeout)
	defer cancel()
	hung := time.AfterFunc(grace(timeout), func() { w.overdue(round) })
	defer hung.Stop()
	err := w.call(ctx, &w.local)
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == ErrTimeout {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	p.mu.Lock()
	if !w.lost {
		w.busy = false // overdue comes too late
		j.data = w.local
	}
	p.mu.Unlock()
	var none J
	w.local = none
	return err
}

// grace is how long an attempt with a timeout has: it may take a moment to return when its
// context is done.
func grace(timeout time.Duration) time.Duration {
	return timeout + min(timeout/10, math.MaxInt64-timeout)
}

// overdue takes the job away from a worker that is still at the run with that number. It
// runs on a timer's goroutine.
func (w *worker[J]) overdue(round uint64) {
	p := w.pool
	p.mu.Lock()
	late := w.busy && !w.lost && w.round == round
	var next *worker[J]
	if late {
		w.lost = true
		next = w.succeed()
		p.core.crew.stuck++
	}
	stuck := p.core.crew.stuck
	p.mu.Unlock()
	if late {
		p.notes.stuck(stuck)
		next.failed = ErrTimeout
		next.loop(true) // on the timer's goroutine, which has no other use
	}
}

// succeed returns a worker that takes over the run of w, with the lock held. It has a
// function of its own: that of w may still run, and has state.
func (w *worker[J]) succeed() *worker[J] {
	p := w.pool
	next := &worker[J]{pool: p, call: p.cfg.newCall(), wake: make(chan struct{}, 1), run: w.run, reach: 1, did: w.did, begun: w.begun, sampled: w.sampled}
	next.span.Store(w.span.Load())
	p.remove(w)
	p.crew = append(p.crew, next)
	return next
}

// exited ends a goroutine whose function of the program has called runtime.Goexit. Another
// one continues with the run.
func (w *worker[J]) exited() {
	p := w.pool
	p.mu.Lock()
	if w.lost {
		p.core.crew.stuck--
		p.hush()
		p.mu.Unlock()
		return
	}
	next := w.succeed()
	p.mu.Unlock()
	next.failed = stage.ErrGoexit
	go next.loop(true)
}
