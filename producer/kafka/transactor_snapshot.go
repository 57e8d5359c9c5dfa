package kafka

import (
	"fmt"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// TransactorSnapshot is a transactor's counts.
type TransactorSnapshot struct {
	// Records is the number of records whose transaction was committed, Written that of
	// the results, and Dead that of the records in DeadTopic.
	Records int64 `json:"records"`
	Written int64 `json:"written"`
	Dead    int64 `json:"dead"`
	// Failed is the number of records that have failed for good, counted again if their
	// transaction was aborted.
	Failed int64 `json:"failed"`
	// Commits and Aborts count transactions, Errors everything that is tried again.
	Commits int64 `json:"commits"`
	Aborts  int64 `json:"aborts"`
	Errors  int64 `json:"errors"`
	// LastError is the latest failure, "" if there has been none.
	LastError string `json:"last_error,omitempty"`
}

// Snapshot returns the counts. It blocks only while they are copied.
func (t *Transactor) Snapshot() TransactorSnapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// note changes the counts.
func (t *Transactor) note(change func(*TransactorSnapshot)) {
	t.mu.Lock()
	change(&t.stats)
	t.mu.Unlock()
}

// count notes the end of a transaction.
func (t *Transactor) count(committed bool, records, written, dead int) {
	if !committed {
		t.meters.aborts.Add(1)
		t.note(func(s *TransactorSnapshot) { s.Aborts++ })
		return
	}
	t.meters.commits.Add(1)
	t.meters.records.Add(int64(records))
	t.meters.written.Add(int64(written))
	t.meters.dead.Add(int64(dead))
	t.note(func(s *TransactorSnapshot) {
		s.Commits++
		s.Records += int64(records)
		s.Written += int64(written)
		s.Dead += int64(dead)
	})
}

// report counts an error, keeps it for Snapshot, and logs it at most once in logEvery.
func (t *Transactor) report(doing string, err error) {
	t.meters.errors.Add(1)
	now := time.Now()
	t.mu.Lock()
	t.stats.Errors++
	t.stats.LastError = fmt.Sprintf("%s: %v", doing, err)
	due := t.told.IsZero() || now.Sub(t.told) >= logEvery
	if due {
		t.told = now
	}
	t.mu.Unlock()
	if due {
		t.cfg.Logger.Warn("kafka: "+doing+" failed; it is retried", "group", t.cfg.Group, "id", t.cfg.ID, "error", err)
	}
}

type transactorMeters struct {
	records, written, dead, commits, aborts, errors metrics.Counter
}

func newTransactorMeters(r metrics.Recorder) transactorMeters {
	return transactorMeters{
		records: r.Counter("kafka.transactor.records"), written: r.Counter("kafka.transactor.written"), dead: r.Counter("kafka.transactor.dead"),
		commits: r.Counter("kafka.transactor.commits"), aborts: r.Counter("kafka.transactor.aborts"), errors: r.Counter("kafka.transactor.errors"),
	}
}
