package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/pace"
)

// Transactor reads batches of records, transforms them, and writes the results in
// transactions that also commit the group's offsets. A record has its results once for
// readers of committed records, whatever dies in between: an offset is committed if and
// only if the results are. It is a loop of its own and no stage: a transaction is open
// for one batch only, and nothing else may be written in it.
//
// Nothing is polled while a batch is worked on; the client keeps one response of each
// broker. If the group takes partitions away meanwhile, the transaction is aborted, and
// the records come again, here or at another member.
//
// Run is called once. All other methods may be called from any goroutine.
type Transactor struct {
	cfg    TransactorConfig
	meters transactorMeters
	// Run's goroutine's own.
	epoch    time.Time
	failures pace.Limiter // of the lines about records that have failed for good
	fencedAt time.Time

	mu    sync.Mutex // guards the rest
	ran   bool
	stats TransactorSnapshot
	told  time.Time // when an error was last logged
}

// ErrFenced is what [Transactor.Run] returns, wrapped, when another member has started
// with the same ID.
var ErrFenced = errors.New("kafka: another member has the same transactional id")

// errRan is returned by a second Run.
var errRan = errors.New("kafka: the transactor has run already")

// refence is how long a member that was fenced is on probation: the broker fences also a
// member whose transaction took longer than Timeout, so that the first time is no proof of
// another one.
const refence = time.Minute

// NewTransactor makes a transactor. It opens nothing and starts no goroutine. An error is
// an [*OptionError].
func NewTransactor(cfg TransactorConfig) (*Transactor, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Transactor{cfg: cfg, meters: newTransactorMeters(cfg.Metrics), epoch: time.Now()}, nil
}

// Run works until ctx is done, and then finishes the batch under way, within
// CloseTimeout. Brokers that are absent or refuse requests are tried again without end,
// with pauses. It returns nil, or an error that wraps [ErrFenced], or that of Options.
func (t *Transactor) Run(ctx context.Context) error {
	t.mu.Lock()
	ran := t.ran
	t.ran = true
	t.mu.Unlock()
	if ran {
		return errRan
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	// The batch under way may be finished after the end of ctx.
	defer context.AfterFunc(ctx, func() {
		late := time.NewTimer(t.cfg.CloseTimeout)
		defer late.Stop()
		select {
		case <-late.C:
			cancel()
		case <-work.Done():
		}
	})()
	var pause backOff
	for ctx.Err() == nil {
		session, err := kgo.NewGroupTransactSession(append(t.cfg.options(), kgo.WithContext(work))...)
		if err != nil {
			return fmt.Errorf("kafka: transactor: %w", err)
		}
		// The client would ask for its producer id with the first record that it writes, and
		// until then nothing aborts the transaction that an earlier member with this ID has
		// left open. It may hold this member up: offsets of a group are not to be had while a
		// transaction with some of them is open, so that there would be no first record.
		if _, _, err = session.Client().ProducerID(ctx); err == nil {
			err = t.loop(ctx, work, session, &pause)
		}
		t.leave(session)
		if err != nil && ctx.Err() == nil {
			if err = t.broken(err); err != nil {
				return err
			}
			pause.wait(ctx)
		}
	}
	t.logFailed(t.failures.Rest(), nil, nil)
	return nil
}

// leave leaves the group and ends the client, within CloseTimeout.
func (t *Transactor) leave(session *kgo.GroupTransactSession) {
	bound, cancel := context.WithTimeout(context.Background(), t.cfg.CloseTimeout)
	defer cancel()
	if err := session.Client().LeaveGroupContext(bound); err != nil {
		t.cfg.Logger.Warn("kafka: group was not left in order", "group", t.cfg.Group, "error", err)
	}
	session.Close()
}

// broken decides what follows when a session has failed: another one, or the end.
func (t *Transactor) broken(err error) error {
	t.report("transaction", err)
	if !fenced(err) {
		return nil
	}
	now := time.Now()
	if !t.fencedAt.IsZero() && now.Sub(t.fencedAt) < refence {
		return fmt.Errorf("%w: %q: %w", ErrFenced, t.cfg.ID, err)
	}
	t.fencedAt = now
	return nil
}

// fenced reports whether the broker has taken the transactional id away.
func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// loop works with one session until ctx is done, or the session is of no use any more.
func (t *Transactor) loop(ctx, work context.Context, session *kgo.GroupTransactSession, pause *backOff) error {
	var failing quarantine
	for ctx.Err() == nil {
		fetches := t.poll(ctx, session, &failing)
		if fetches.IsClientClosed() {
			return kgo.ErrClientClosed
		}
		failed := t.isolate(session.Client(), fetches, &failing)
		if batch := fetches.Records(); len(batch) > 0 {
			committed, err := t.work(ctx, work, session, batch)
			if err != nil {
				return err
			}
			failed = failed || !committed
		}
		if failed {
			pause.wait(ctx)
		} else {
			pause.reset()
		}
	}
	return nil
}

// work passes one batch through a transaction. An error is the end of the session; without
// one and not committed, the batch comes again.
func (t *Transactor) work(ctx, work context.Context, session *kgo.GroupTransactSession, batch []*kgo.Record) (committed bool, err error) {
	results, dead, ok := t.transform(ctx, work, batch)
	if !ok {
		return false, nil // Run ends, and nothing was begun
	}
	if err := session.Begin(); err != nil {
		return false, err
	}
	var mu sync.Mutex // promises are called by the client's goroutine
	var first error
	for _, r := range append(results, dead...) {
		session.Produce(work, r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
		})
	}
	// Flush is part of End too; here it shows whether all were written.
	if err := session.Client().Flush(work); err != nil {
		return false, err
	}
	mu.Lock()
	failure := first
	mu.Unlock()
	committed, err = session.End(work, kgo.TransactionEndTry(failure == nil))
	if failure != nil {
		t.report("writing", failure)
		if fenced(failure) {
			return false, failure
		}
	}
	if err == nil {
		t.count(committed, len(batch), len(results), len(dead))
	}
	return committed, err
}
