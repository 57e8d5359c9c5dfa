package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
)

// attempts repeats the calls of a function on the goroutine of a stage, and counts and
// logs its failures. A pause does not hold that goroutine: the handler returns, and a
// message brings it back. It belongs to that goroutine.
type attempts struct {
	retry  retry.Policy
	log    *slog.Logger
	what   string           // is called: "batch" or "event"
	final  func(error) bool // the function must not be called again for this error
	self   *stage.Handle
	tracer trace.Tracer // nil: there are no spans
	epoch  time.Time
	counts AttemptCounts
	meters meters

	again, forGood pace.Failures // of the log

	resting bool // the function is called again when resume comes
	rests   uint64
	timer   *time.Timer
}

// resume is sent to the stage when a pause is over. It is the number of the pause.
type resume uint64

// AttemptCounts are what a function on its stage's goroutine has failed, since the start.
type AttemptCounts struct {
	// Retried is the number of attempts that followed a failed one, and Failed that
	// of events that have failed, in a batch or alone.
	Retried int64 `json:"retried"`
	Failed  int64 `json:"failed"`
}

// start notes the stage.
func (a *attempts) start(ctx context.Context, self *stage.Handle) {
	a.self, a.epoch, a.tracer = self, time.Now(), trace.TracerOf(ctx)
}

// once calls f, for the given attempt of most, and returns its error and what follows. A
// panic of f is an error. While the stage is being stopped nothing follows.
func (a *attempts) once(ctx context.Context, attempt, most int, f func() error) (next decision, err error) {
	err = caught(f)
	if err == nil || err == stage.ErrDone || a.final(err) || ctx.Err() != nil {
		return decision{}, err
	}
	policy := a.retry
	policy.MaxAttempts = most
	if next, err = decide(policy, attempt, err); next.again {
		a.retried()
		a.warn(a.again.Note(time.Since(a.epoch), 1, err, attempt, true))
	}
	return next, err
}

// rest begins a pause, at the end of which resume is sent. Also without a pause the stage
// has a chance to do something else between two attempts.
func (a *attempts) rest(d time.Duration) {
	a.resting = true
	a.rests++
	number := a.rests
	if d <= 0 {
		a.self.Send(resume(number))
		return
	}
	a.timer = time.AfterFunc(d, func() { a.self.Send(resume(number)) })
}

// over reports whether msg says that the pause is over, which it then is.
func (a *attempts) over(msg any) bool {
	number, ok := msg.(resume)
	if !ok || !a.resting || uint64(number) != a.rests {
		return false
	}
	a.resting = false
	return true
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
	a.warn(a.forGood.Note(time.Since(a.epoch), n, err, attempt, false))
}

// end ends a pause, and logs the failures that are in no line yet, when the stage ends.
// There are none if a wrapper has failed before it came to HandleStart.
func (a *attempts) end() {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.self == nil {
		return
	}
	a.warn(a.again.Rest())
	a.warn(a.forGood.Rest())
}

func (a *attempts) warn(line pace.Failure) { line.Log(a.log, a.what, a.self.Name()) }

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
