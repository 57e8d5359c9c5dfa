package kafka

import (
	"errors"
	"fmt"
	"time"
)

// NotReadyError says why a producer does not read.
type NotReadyError struct {
	Group  string
	Reason string
}

// Error implements error.
func (e *NotReadyError) Error() string { return fmt.Sprintf("kafka: group %q: %s", e.Group, e.Reason) }

// joinGrace is how long a rebalance may take before a producer is not ready.
const joinGrace = 10 * time.Second

// Ready returns nil while the producer belongs to its group and reads, or could read, all
// of its partitions; otherwise a [*NotReadyError] with the reason. It is what a program's
// readiness probe asks. Handlers that are slow, a full window and commits that fail are no
// reason. A reason that passes within two seconds is not returned. It may be called from
// any goroutine, and never waits for a broker.
func (p *Producer[T]) Ready() error {
	p.mu.Lock()
	err := p.ready(time.Now())
	p.mu.Unlock()
	if err != nil {
		return &NotReadyError{Group: p.cfg.Group, Reason: err.Error()}
	}
	return nil
}

var (
	errNotStarted = errors.New("not started")
	errEnding     = errors.New("ending")
)

// ready is Ready for a caller that holds mu.
func (p *Producer[T]) ready(now time.Time) error {
	switch {
	case p.client == nil:
		return errNotStarted
	case p.core.phase != running:
		return errEnding
	}
	if one := p.troubles.blocking(now); one != nil {
		at := place{topicPartition{one.Topic, one.Partition}, one.Doing}
		return fmt.Errorf("%s: %s, for %v", at.text(), one.Error, now.Sub(one.Since).Round(time.Second))
	}
	if p.core.session == outside {
		waits := now.Sub(p.outside)
		switch {
		case !p.member:
			return fmt.Errorf("joining, for %v", waits.Round(time.Second))
		case waits >= joinGrace:
			return fmt.Errorf("joining again, for %v", waits.Round(time.Second))
		}
	}
	return nil
}
