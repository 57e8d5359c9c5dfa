package pipeline

import (
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/trace"
)

// notes counts and logs what goes wrong in a pool, at most one line a second of each kind,
// with the number of failures that it stands for. Any goroutine may use it.
type notes struct {
	stage    string
	logger   *slog.Logger
	retries  metrics.Counter
	failures metrics.Counter
	// Of runs: how long the first job has waited, and the mean of their attempts. They are
	// nil without a recorder.
	waited, handled metrics.Timer

	state *noteState
}

// noteState is the part that has a lock.
type noteState struct {
	mu      sync.Mutex
	again   pace.Failures // attempts that are followed by another one
	forGood pace.Failures
	hung    pace.Limiter // attempts that do not return, by the time since begun
	begun   time.Time
}

func newNotes(stage string, logger *slog.Logger, r metrics.Recorder) notes {
	measured := r != nil
	option.Default(&r, metrics.Nop())
	option.Logger(&logger)
	tag := metrics.Tag{Key: "stage", Value: stage}
	n := notes{
		stage: stage, logger: logger, state: &noteState{begun: time.Now()},
		retries:  r.Counter("pipeline.retries", tag),
		failures: r.Counter("pipeline.failures", tag),
	}
	if measured {
		n.waited = r.Timer("pipeline.waiting_time", tag)
		n.handled = r.Timer("pipeline.handling_time", tag)
	}
	return n
}

// ran notes a run of n jobs that took that long, in nanoseconds. The trace is that of the
// first one. It is called without the lock of the pool: the recorder is the program's.
func (n *notes) ran(jobs int, elapsed int64, tc trace.Context) {
	if n.handled != nil {
		metrics.ObserveTraced(n.handled, time.Duration(elapsed/int64(max(1, jobs))), tc)
	}
}

// begins notes that a run begins, whose first job has waited that long, in nanoseconds. It
// is called without the lock of the pool.
func (n *notes) begins(waited int64, tc trace.Context) {
	if n.waited != nil && waited >= 0 {
		metrics.ObserveTraced(n.waited, time.Duration(waited), tc)
	}
}

// retried notes a failure after which there is another attempt.
func (n *notes) retried(err error, attempt int, now int64) {
	n.retries.Add(1)
	n.note(&n.state.again, true, err, attempt, now)
}

// failed notes an event that has failed for good.
func (n *notes) failed(err error, attempt int, now int64) {
	n.failures.Add(1)
	n.note(&n.state.forGood, false, err, attempt, now)
}

func (n *notes) note(kind *pace.Failures, again bool, err error, attempt int, now int64) {
	s := n.state
	s.mu.Lock()
	line := kind.Note(time.Duration(now), 1, err, attempt, again)
	s.mu.Unlock()
	line.Log(n.logger, "event", n.stage)
}

// stuck logs attempts that do not return although their context is done.
func (n *notes) stuck(total int) {
	s := n.state
	s.mu.Lock()
	count := s.hung.Line(time.Since(s.begun), 1)
	s.mu.Unlock()
	if count > 0 {
		n.logger.Warn("attempts do not return after their timeout", "stage", n.stage, "attempts", count, "stuck", total)
	}
}

// rest logs what is in no line yet.
func (n *notes) rest() {
	s := n.state
	s.mu.Lock()
	again, forGood := s.again.Rest(), s.forGood.Rest()
	s.mu.Unlock()
	metrics.End(n.retries, n.failures, n.waited, n.handled)
	again.Log(n.logger, "event", n.stage)
	forGood.Log(n.logger, "event", n.stage)
}
