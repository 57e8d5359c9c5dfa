package pipeline

import (
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// verdict is what follows from a failed attempt.
type verdict struct {
	kind    verdictKind
	err     error
	attempt int32         // that has failed
	counts  bool          // the attempt counts
	pause   time.Duration // before the next
}

type verdictKind uint8

const (
	verdictNone  verdictKind = iota // there was no failure
	verdictEnd                      // the event has ended: it was discarded, or the stage needs no more
	verdictAgain                    // there is another attempt
	verdictFinal                    // the event has failed for good
	verdictHalt                     // so it has, and the stage stops
	verdictDrop                     // the pool is being stopped
)

// judge decides what follows from a failed attempt. It calls functions of the program,
// without the lock.
func (p *pool[J]) judge(err error, attempt int32, now int64) verdict {
	v := verdict{err: err, attempt: attempt}
	switch {
	case err == stage.ErrDone || discarded(err):
		v.kind = verdictEnd
		return v
	case p.ctx.Err() != nil:
		// The attempt may have ended early because the stage is being stopped: its
		// producer must not take the event for finished.
		v.kind = verdictDrop
		return v
	}
	again := false
	if panicked := p.askPolicy(&v, &again); panicked != nil {
		v.err, again, v.counts = panicked, false, true
	}
	switch {
	case again:
		v.kind = verdictAgain
	case p.cfg.halts:
		v.kind = verdictHalt
	default:
		v.kind = verdictFinal
	}
	return v
}

// askPolicy asks the retry policy, and returns the panic of a function in it.
func (p *pool[J]) askPolicy(v *verdict, again *bool) (err error) {
	return askRetry(p.cfg.retry, func() { v.pause, *again, v.counts = p.cfg.retry.Next(int(v.attempt), v.err) })
}

// askRetry calls ask, which asks the policy, and returns the panic of a function of the
// policy. Such a function must not end the goroutine: that may be the stage's, or a
// worker's that has its job no more.
func askRetry(policy retry.Policy, ask func()) (err error) {
	if policy.Retryable != nil {
		return crash.Apart(ask)
	}
	defer crash.Catch(&err)
	ask()
	return nil
}

// rule carries out a verdict, with the lock held. It returns what is to be done without
// the lock.
func (p *pool[J]) rule(j *job[J], v verdict, now int64) (after func()) {
	if j.failed == 0 {
		j.failed = max(1, now)
	}
	switch v.kind {
	case verdictEnd:
		p.core.done(j, v.err)
		return nil
	case verdictDrop:
		p.core.drop(j)
		return nil
	case verdictAgain:
		p.retries++
		p.nudge = true // the owner may have waited for an empty pool
		if v.counts {
			j.attempt++
		}
		p.core.retry(j, v.err, now+int64(v.pause))
		return func() { p.notes.retried(v.err, int(v.attempt), now) }
	case verdictHalt:
		p.failures++
		p.core.drop(j)
		return func() {
			p.notes.failed(v.err, int(v.attempt), now)
			p.cfg.fail(v.err)
		}
	}
	p.failures++
	logged := pace.Logged{Err: v.err} // notes has a line for it
	if p.cfg.bury == nil {
		p.core.done(j, logged)
		return func() { p.notes.failed(v.err, int(v.attempt), now) }
	}
	p.core.bury(j, logged)
	p.nudge = true // there is room, also while the letter cannot be stored
	f := failure{err: v.err, attempts: int(v.attempt), first: p.epoch.Add(time.Duration(j.failed)), last: p.epoch.Add(time.Duration(now))}
	return func() {
		p.notes.failed(v.err, int(v.attempt), now)
		p.letter(j, f)
	}
}

// letter sends the dead letter of a job. The job's data is the caller's until stored.
func (p *pool[J]) letter(j *job[J], f failure) {
	once := false // guarded by mu
	stored := func() {
		now := p.clock()
		p.mu.Lock()
		if once {
			p.mu.Unlock()
			return
		}
		once = true
		p.core.stored(j)
		p.unlock(now)
	}
	var sent bool
	if err := guarded(func() { sent = p.cfg.bury(&j.data, f, stored) }); err != nil {
		p.cfg.fail(err)
		return
	}
	if !sent {
		stored()
	}
}

// guarded calls f and returns its panic.
func guarded(f func()) (err error) {
	defer crash.Catch(&err)
	f()
	return nil
}
