package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/pace"
)

// errTimeout is the cause of a write's context that took longer than Timeout.
var errTimeout = errors.New("write took too long")

// once writes the batch one time. A panic and runtime.Goexit are failed writes.
func (w *Writer) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.Timeout, errTimeout)
	defer cancel()
	defer w.watch()()
	if exit := crash.Apart(func() { err = w.sink.Write(ctx, w.letters) }); exit != nil {
		err = exit
	}
	if err != nil && context.Cause(ctx) == errTimeout {
		err = fmt.Errorf("%w (%v): %w", errTimeout, w.cfg.Timeout, err)
	}
	return err
}

// watch logs that the write under way has not returned after twice the Timeout, unless
// the returned function is called before.
func (w *Writer) watch() (stop func() bool) {
	n := len(w.letters)
	return time.AfterFunc(2*w.cfg.Timeout, func() {
		w.cfg.Logger.Error("a write of dead letters does not return although its context is done",
			"stage", w.cfg.Stage, "letters", n, "for", 2*w.cfg.Timeout)
	}).Stop
}

// call calls a letter's function. Its panic is logged.
func (w *Writer) call(done func()) {
	var err error
	func() {
		defer crash.Catch(&err)
		done()
	}()
	if err != nil {
		w.cfg.Logger.Error("the function of a stored dead letter panicked", "stage", w.cfg.Stage, "error", err, "stack", crash.StackOf(err))
	}
}

// sleep waits for d, or until ctx is done. It reports whether ctx is not.
func sleep(ctx context.Context, d time.Duration) bool {
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

// patience logs failed writes, at most one line a second. It belongs to Run's goroutine.
type patience struct {
	cfg     *WriterConfig
	epoch   time.Time
	lines   pace.Limiter // about failures
	ends    pace.Limiter // about their end
	since   time.Time    // of the first failure in a row; zero while writes succeed
	err     error        // the last failure
	attempt int
	waiting int
}

// failed notes a failed write.
func (p *patience) failed(err error, attempt, waiting int) {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.err, p.attempt, p.waiting = err, attempt, waiting
	p.line(p.lines.Line(time.Since(p.epoch), 1))
}

// over notes that letters are stored again.
func (p *patience) over() {
	if p.since.IsZero() {
		return
	}
	if n := p.ends.Line(time.Since(p.epoch), 1); n > 0 {
		p.rest()
		p.cfg.Logger.Info("dead letters are stored again", "stage", p.cfg.Stage, "after", time.Since(p.since).Round(time.Millisecond), "times", n)
	}
	p.since = time.Time{}
}

// rest logs the failures that are in no line yet.
func (p *patience) rest() { p.line(p.lines.Rest()) }

// line logs n failed writes.
func (p *patience) line(n int) {
	if n > 0 {
		p.cfg.Logger.Error("dead letters cannot be stored, their events wait",
			"stage", p.cfg.Stage, "waiting", p.waiting, "attempt", p.attempt, "failures", n, "error", p.err)
	}
}
