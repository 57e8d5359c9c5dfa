package producer

import (
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/pace"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// refusals counts, records and logs what a queue has refused and dropped.
type refusals struct {
	count   [bounds]int64 // guarded by the queue's lock
	errs    [bounds]error // made once: a refusal costs no allocation
	refused [bounds]metrics.Counter
	lost    map[receipt.Reason]metrics.Counter
	log     *slog.Logger
	epoch   time.Time // when the queue was made

	mu    sync.Mutex // guards lines
	lines map[subject]*pace.Limiter
}

func (r *refusals) init(recorder metrics.Recorder, log *slog.Logger, capacity, keyMax int, maxBytes int64) {
	r.errs = [bounds]error{
		full:     &BoundError{Bound: "Capacity", Limit: int64(capacity), Err: ErrFull},
		keyFull:  &BoundError{Bound: "KeyMaxEvents", Limit: int64(keyMax), Err: ErrKeyFull},
		heavy:    &BoundError{Bound: "MaxBytes", Limit: maxBytes, Err: ErrFull},
		tooLarge: &BoundError{Bound: "MaxBytes", Limit: maxBytes, Err: ErrTooLarge},
		closed:   ErrClosed,
	}
	option.Default(&recorder, metrics.Nop())
	for b := full; b < bounds; b++ {
		r.refused[b] = recorder.Counter("queue.refused", metrics.Tag{Key: "reason", Value: b.String()})
	}
	r.lost = make(map[receipt.Reason]metrics.Counter)
	for _, reason := range []receipt.Reason{receipt.QueueFull, receipt.Stopped} {
		r.lost[reason] = recorder.Counter("queue.discarded", metrics.Tag{Key: "reason", Value: string(reason)})
	}
	r.epoch, r.log, r.lines = time.Now(), log, make(map[subject]*pace.Limiter)
}

// refuse counts a refused push, unlocks and returns its error. The caller holds the lock,
// under which the counts of the Snapshot change; metrics and logger are called without it.
func (q *Queue[T]) refuse(why bound) error {
	q.refused.count[why]++
	q.mu.Unlock()
	q.refused.record(why, 1)
	return q.refused.errs[why]
}

// record takes n refused pushes, without the queue's lock.
func (r *refusals) record(why bound, n int) {
	if n > 0 {
		r.refused[why].Add(int64(n))
		r.warn("pushes refused", why.String(), n)
	}
}

// dropped takes n dropped events, without the queue's lock.
func (r *refusals) dropped(reason receipt.Reason, n int) {
	if n > 0 {
		r.lost[reason].Add(int64(n))
		r.warn("events dropped from the queue", string(reason), n)
	}
}

// end logs what no line stands for yet: every push and event is in some line.
func (r *refusals) end() {
	rest := make(map[subject]int)
	r.mu.Lock()
	for about, l := range r.lines {
		rest[about] = l.Rest()
	}
	r.mu.Unlock() // the logger is the program's
	for about, n := range rest {
		if n > 0 {
			r.log.Warn(about.msg, "reason", about.reason, "count", n)
		}
	}
}

// subject is what a line of the log is about.
type subject struct{ msg, reason string }

// warn logs, once a second for each message and reason. There are few of both, so that
// lines is small.
func (r *refusals) warn(msg, reason string, n int) {
	r.mu.Lock()
	l := r.lines[subject{msg, reason}]
	if l == nil {
		l = new(pace.Limiter)
		r.lines[subject{msg, reason}] = l
	}
	lines := l.Line(time.Since(r.epoch), n)
	r.mu.Unlock()
	if lines > 0 {
		r.log.Warn(msg, "reason", reason, "count", lines)
	}
}
