package postgres

import (
	"context"
	"fmt"
	"time"
)

// Job is a job of a queue.
type Job struct {
	// ID is set by the table.
	ID int64
	// Queue is the queue that the job is in; it is required.
	Queue string
	// Key is what the job is about, such as a user: with Config.Ordered jobs of one key are
	// delivered one after the other. "": none.
	Key string
	// Payload is the job's content, which the package does not interpret.
	Payload []byte
	// RunAt is the time before which the job is not delivered. Zero: at once.
	RunAt time.Time
	// CreatedAt is the time of the transaction that enqueued it, set by the table.
	CreatedAt time.Time
	// Attempts is how often the job was leased, this time included.
	Attempts int
}

// Position returns the job's place, such as "mails/1042". It is what an event made of the
// job returns as a deadletter.Positioner.
func (j Job) Position() string { return fmt.Sprintf("%s/%d", j.Queue, j.ID) }

// Enqueue adds jobs, of which Queue, Key, Payload and RunAt are used, in one statement. With a
// pgx.Tx as db the jobs exist when that transaction has committed, and not if it is rolled
// back. The ids of the jobs are in the order of the call.
func Enqueue(ctx context.Context, db Execer, jobs ...Job) error {
	if len(jobs) == 0 {
		return nil
	}
	queues, keys, payloads, times := make([]string, len(jobs)), make([]string, len(jobs)), make([][]byte, len(jobs)), make([]*time.Time, len(jobs))
	for i, j := range jobs {
		if j.Queue == "" {
			return fmt.Errorf("postgres: enqueue: job %d of %d has no queue", i+1, len(jobs))
		}
		queues[i], keys[i], payloads[i] = j.Queue, j.Key, j.Payload
		if payloads[i] == nil {
			payloads[i] = []byte{} // the column is NOT NULL
		}
		if !j.RunAt.IsZero() {
			times[i] = &jobs[i].RunAt
		}
	}
	if _, err := db.Exec(ctx, enqueueSQL, queues, keys, payloads, times); err != nil {
		return fmt.Errorf("postgres: enqueue: %w", err)
	}
	return nil
}

const enqueueSQL = `
INSERT INTO penstock_jobs (queue, key, payload, run_at)
SELECT queue, key, payload, coalesce(run_at, now())
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[]) WITH ORDINALITY AS j (queue, key, payload, run_at, n)
ORDER BY n`

// Revive has dead jobs of a queue delivered again, as if they had not been leased: those with
// these ids, or without ids all. It returns their number. Sources are told at once, as by
// Enqueue.
func Revive(ctx context.Context, db Execer, queue string, ids ...int64) (int64, error) {
	tag, err := db.Exec(ctx, `
UPDATE penstock_jobs SET state = 'waiting', attempts = 0, finished_at = NULL, error = NULL, locked_by = NULL, locked_until = NULL
WHERE queue = $1 AND state = 'dead' AND (cardinality($2::bigint[]) = 0 OR id = ANY ($2))
RETURNING pg_notify('`+channel+`', queue)`, queue, append([]int64{}, ids...))
	if err != nil {
		return 0, fmt.Errorf("postgres: revive: %w", err)
	}
	return tag.RowsAffected(), nil
}
