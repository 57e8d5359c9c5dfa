package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
)

// transform calls Transform for a batch, as often as Retry says, and then for each record
// alone. dead are the records for DeadTopic. ok is false if Run ends before there is a
// result.
func (t *Transactor) transform(ctx, work context.Context, batch []*kgo.Record) (results, dead []*kgo.Record, ok bool) {
	results, f, ok := t.try(ctx, work, batch)
	if !ok || f.err == nil {
		return results, nil, ok
	}
	failed := int64(0)
	for _, r := range batch {
		alone := f
		if len(batch) > 1 {
			var out []*kgo.Record
			if out, alone, ok = t.try(ctx, work, []*kgo.Record{r}); !ok {
				return nil, nil, false
			}
			results = append(results, out...)
		}
		if alone.err == nil {
			continue
		}
		failed++
		t.logFailed(t.failures.Line(time.Since(t.epoch), 1), r, alone.err)
		if t.cfg.DeadTopic != "" {
			dead = append(dead, t.letter(r, alone))
		}
	}
	t.note(func(s *TransactorSnapshot) { s.Failed += failed })
	return results, dead, true
}

// failure is why records have failed for good. Its err is nil if they have not.
type failure struct {
	err         error
	attempts    int
	first, last time.Time
}

// try calls Transform until it succeeds or Retry ends. ok is false if Run ends in between.
func (t *Transactor) try(ctx, work context.Context, batch []*kgo.Record) (results []*kgo.Record, f failure, ok bool) {
	for counted := 1; ; {
		f.attempts++
		results, f.err = t.once(work, batch)
		if f.err == nil {
			return results, failure{}, true
		}
		f.last = time.Now()
		if f.first.IsZero() {
			f.first = f.last
		}
		pause, again, counts := t.cfg.Retry.Next(counted, f.err)
		if counts {
			counted++
		}
		if !again {
			return nil, f, work.Err() == nil
		}
		t.report("transform", f.err)
		if !sleepFor(ctx, pause) {
			return nil, f, false
		}
	}
}

// once calls Transform. A panic and runtime.Goexit are errors, and so is a result without
// a topic, which the client would refuse as a whole.
func (t *Transactor) once(ctx context.Context, batch []*kgo.Record) (results []*kgo.Record, err error) {
	if exit := crash.Apart(func() { results, err = t.cfg.Transform(ctx, batch) }); exit != nil {
		return nil, exit
	}
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		switch {
		case r == nil:
			return nil, errors.New("a result is nil")
		case r.Topic == "" && t.cfg.Topic == "":
			return nil, fmt.Errorf("a result has no topic")
		}
	}
	return results, nil
}

// letter returns the record for DeadTopic.
func (t *Transactor) letter(r *kgo.Record, f failure) *kgo.Record {
	l := deadletter.Letter{
		Stage: "transactor " + t.cfg.Group, Key: string(r.Key), Error: f.err.Error(), Attempts: f.attempts,
		First: f.first, Last: f.last, Source: PositionOf(r), Trace: TraceContext(r),
	}
	l.SetBytes(r.Value)
	dead := letterRecord(l)
	dead.Topic = t.cfg.DeadTopic
	return dead
}

// logFailed logs n records that have failed for good, of which r is the last, if it is
// known.
func (t *Transactor) logFailed(n int, r *kgo.Record, err error) {
	switch {
	case n == 0:
	case r == nil:
		t.cfg.Logger.Warn("kafka: records failed for good", "group", t.cfg.Group, "records", n)
	default:
		t.cfg.Logger.Warn("kafka: records failed for good", "group", t.cfg.Group, "records", n, "position", PositionOf(r), "error", err)
	}
}

// sleepFor waits for d. It returns false if ctx is done.
func sleepFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
