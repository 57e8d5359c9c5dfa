package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// attempts repeats the calls of a function on the goroutine of a stage, and counts and
// logs its failures. It belongs to that goroutine.
type attempts struct {
	retry  retry.Policy
	log    *slog.Logger
	what   string           // is called: "batch" or "event"
	final  func(error) bool // the function must not be called again for this error
	self   *stage.Handle
	epoch  time.Time
	counts AttemptCounts
	meters meters

	again, forGood failures // of the log
}

// AttemptCounts are what a function on its stage's goroutine has failed, since the start.
type AttemptCounts struct {
	// Retried is the number of attempts that followed a failed one, and Failed that
	// of events that have failed, in a batch or alone.
	Retried int64 `json:"retried"`
	Failed  int64 `json:"failed"`
}

// start notes the stage.
func (a *attempts) start(self *stage.Handle) { a.self, a.epoch = self, time.Now() }

// run calls f until it has succeeded, or dropped what it was called for, or the policy
// allows no other attempt, of most at the most, with a pause before each but the first. It
// returns the number of attempts and the last error. If the stage is being stopped, it
// returns at once. A panic of f is an error.
func (a *attempts) run(ctx context.Context, most int, f func() error) (attempt int, err error) {
	policy := a.retry
	policy.MaxAttempts = most
	for attempt = 1; ; {
		err = caught(f)
		if err == nil || err == stage.ErrDone || a.final(err) || ctx.Err() != nil {
			return attempt, err
		}
		next, err := decide(policy, attempt, err)
		if !next.again {
			return attempt, err
		}
		a.retried()
		a.warn(a.again.note(time.Since(a.epoch), 1, err, attempt, true))
		if !wait(ctx, next.pause) {
			return attempt, ctx.Err() // it might have succeeded yet
		}
		if next.counts {
			attempt++
		}
	}
}

// retried counts an attempt that follows a failed one.
func (a *attempts) retried() {
	a.counts.Retried++
	a.meters.retries.Add(1)
}

// failed counts n events that have failed for good.
func (a *attempts) failed(n int, err error, attempt int) {
	a.counts.Failed += int64(n)
	a.meters.failures.Add(int64(n))
	a.warn(a.forGood.note(time.Since(a.epoch), n, err, attempt, false))
}

// end logs the failures that are in no line yet, when the stage ends. There are none if a
// wrapper has failed before it came to HandleStart.
func (a *attempts) end() {
	if a.self == nil {
		return
	}
	a.warn(a.again.rest())
	a.warn(a.forGood.rest())
}

func (a *attempts) warn(line failureLine) { line.log(a.log, a.what, a.self.Name()) }

// caught calls f and returns its panic as an error.
func caught(f func() error) (err error) {
	defer crash.Catch(&err)
	return f()
}

// wait waits for d, or until ctx is done. It reports whether ctx is not.
func wait(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
