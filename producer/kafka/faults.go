package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// failed examines the errors of a poll and reports whether to pause. It looks at the first
// error: a broker that is away fails all partitions alike. A closed client ends the
// producer, since the poller would get the same error without end. It runs on the poller's
// goroutine.
func (p *Producer[T]) failed(fetches kgo.Fetches) bool {
	var first error
	fetches.EachError(func(topic string, partition int32, err error) {
		if first != nil || errors.Is(err, context.Canceled) {
			return
		}
		first = err
		if topic != "" {
			first = fmt.Errorf("topic %q, partition %d: %w", topic, partition, err)
		}
	})
	switch {
	case first == nil:
		return false
	// At the end this is expected: the phase is closing by then.
	case errors.Is(first, kgo.ErrClientClosed):
		p.mu.Lock()
		if p.core.phase < closing {
			p.core.advance(failed)
			// core.advance has dropped the spans of these.
			p.events = nil
		}
		p.mu.Unlock()
		p.wake()
		return false
	}
	p.meters.errors.Add(1)
	p.report("polling", first, func(s *counts) { s.Errors++ })
	return true
}

// report counts an error, keeps it for Snapshot, and logs it at most once in logEvery.
// count adds to the counts; it is called with mu held. doing is what failed, for the log.
func (p *Producer[T]) report(doing string, err error, count func(*counts)) {
	now := time.Now()
	p.mu.Lock()
	count(&p.stats)
	p.stats.LastError = fmt.Sprintf("%s: %v", doing, err)
	// The limit is one for all kinds of errors; the counts tell them apart.
	due := p.stats.logged.IsZero() || now.Sub(p.stats.logged) >= logEvery
	if due {
		p.stats.logged = now
	}
	p.mu.Unlock()
	if due {
		p.cfg.Logger.Warn("kafka: "+doing+" failed; it is retried", "group", p.cfg.Group, "error", err)
	}
}

// logEvery is how often an error is logged.
const logEvery = 10 * time.Second
