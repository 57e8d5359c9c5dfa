package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/lease"
)

// store is a lease.Store of the table. The fence of a lease is the number of leases that the
// job has had, which is never lowered.
type store[T any] struct {
	cfg    Config[T]
	owner  string // locked_by
	settle string
	// The fetcher's. listen is nil while the connection is to be made.
	listen *pgxpool.Conn
	due    time.Duration // until the next scheduled job, as of the last empty fetch; 0: there is none
	// With Ordered: whose turn it is to be first, the key behind which heads goes on, and
	// the keys of the jobs of one statement.
	keyless bool
	cursor  string
	keys    map[int64]string
}

func newStore[T any](cfg Config[T]) *store[T] {
	host, err := os.Hostname()
	if err != nil {
		host = "process"
	}
	s := &store[T]{cfg: cfg, keys: make(map[int64]string), owner: fmt.Sprintf("%s-%d-%s", text(host), os.Getpid(), rand.Text()[:8])}
	s.settle = deleteSQL
	if cfg.KeepDone {
		s.settle = doneSQL
	}
	return s
}

// fetchSQL leases jobs. The row of a job that another process leases at the same time is
// skipped; one that it has leased since this statement began is looked at again when it is
// locked, and is not free any more.
const (
	fetchSQL = `
WITH next AS (
	SELECT id FROM penstock_jobs
	WHERE queue = $1 AND state = 'waiting' AND run_at <= now() AND (locked_until IS NULL OR locked_until <= now()) %s
	ORDER BY run_at, id LIMIT $2
	FOR UPDATE SKIP LOCKED
)` + leaseSQL + `
SELECT * FROM leased ORDER BY run_at, id`
	leaseSQL = `, leased AS (
	UPDATE penstock_jobs AS j
	SET locked_by = $3, locked_until = clock_timestamp() + $4 * interval '1 microsecond', attempts = attempts + 1, lease = lease + 1
	FROM next WHERE j.id = next.id
	RETURNING j.id, j.key, j.payload, j.created_at, j.run_at, j.attempts, j.lease
)`
	// It looks at the first job of each key, by jumps through the index from key to key, of
	// $6 keys behind the key $5. So its cost does not grow with the jobs that wait behind the
	// first ones. The last row has the number of keys and the last one.
	orderedSQL = `
WITH RECURSIVE heads AS (
	(SELECT key, id, run_at, locked_until, 1 AS n FROM penstock_jobs
	WHERE queue = $1 AND state = 'waiting' AND key > $5 ORDER BY key, run_at, id LIMIT 1)
	UNION ALL
	SELECT f.key, f.id, f.run_at, f.locked_until, h.n + 1
	FROM heads AS h CROSS JOIN LATERAL (
		SELECT key, id, run_at, locked_until FROM penstock_jobs
		WHERE queue = $1 AND state = 'waiting' AND key > h.key ORDER BY key, run_at, id LIMIT 1
	) AS f WHERE h.n < $6
), free AS (
	SELECT id FROM heads WHERE run_at <= now() AND (locked_until IS NULL OR locked_until <= now()) ORDER BY n LIMIT $2
), next AS (
	SELECT id FROM penstock_jobs
	WHERE id IN (SELECT id FROM free) AND state = 'waiting' AND (locked_until IS NULL OR locked_until <= now())
	FOR UPDATE SKIP LOCKED
)` + leaseSQL + `
SELECT * FROM leased UNION ALL
SELECT -count(*), coalesce(max(key), ''), '', now(), now(), 0, 0 FROM heads`
	nextSQL = `
SELECT coalesce(extract(epoch FROM min(run_at) - now()), 0)::float8 FROM penstock_jobs
WHERE queue = $1 AND state = 'waiting' AND run_at > now()`

	deleteSQL = `
DELETE FROM penstock_jobs AS j USING unnest($1::bigint[], $2::bigint[]) AS e (id, lease)
WHERE j.id = e.id AND j.lease = e.lease AND j.state = 'waiting'`
	doneSQL = `
UPDATE penstock_jobs AS j SET state = 'done', finished_at = now(), locked_by = NULL, locked_until = NULL
FROM unnest($1::bigint[], $2::bigint[]) AS e (id, lease)
WHERE j.id = e.id AND j.lease = e.lease AND j.state = 'waiting'`
	deadSQL = `
UPDATE penstock_jobs AS j SET state = 'dead', finished_at = now(), locked_by = NULL, locked_until = NULL, error = coalesce(nullif(e.error, ''), j.error, 'a stage gave the receipt Failed')
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS e (id, lease, error)
WHERE j.id = e.id AND j.lease = e.lease AND j.state = 'waiting'`
	freeSQL = `
UPDATE penstock_jobs AS j SET locked_by = NULL, locked_until = NULL, attempts = attempts - e.unused
FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS e (id, lease, unused)
WHERE j.id = e.id AND j.lease = e.lease AND j.state = 'waiting' AND j.locked_by = $4`
	renewSQL = `
WITH held AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS h (id, lease)), renewed AS (
	UPDATE penstock_jobs AS j SET locked_until = clock_timestamp() + $3 * interval '1 microsecond'
	FROM held AS h WHERE j.id = h.id AND j.lease = h.lease AND j.state = 'waiting' RETURNING j.id
)
SELECT h.id, h.lease FROM held AS h WHERE NOT EXISTS (SELECT FROM renewed AS r WHERE r.id = h.id)`
	lagSQL = `
SELECT count(*) FILTER (WHERE free), count(*) FILTER (WHERE NOT free),
	coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE free)), 0)::float8
FROM (
	SELECT run_at, locked_until IS NULL OR locked_until <= now() AS free FROM penstock_jobs
	WHERE queue = $1 AND state = 'waiting' AND run_at <= now() ORDER BY run_at, id LIMIT 100000
) AS due`
)

// Fetch implements lease.Store.
func (s *store[T]) Fetch(ctx context.Context, n int) ([]lease.Item[int64, T], error) {
	// It listens before it looks, so that no job comes unannounced in between.
	if err := s.subscribe(ctx); err != nil {
		return nil, err
	}
	items, err := s.lease(ctx, n)
	if len(items) > 0 || err != nil {
		return items, err
	}
	var seconds float64
	if err := s.cfg.Pool.QueryRow(ctx, nextSQL, s.cfg.Queue).Scan(&seconds); err != nil {
		return nil, err
	}
	s.due = time.Duration(seconds * float64(time.Second))
	return nil, nil
}

// lease leases up to n jobs. After an error the statement may have been committed all the same:
// then the jobs are free after their lease.
func (s *store[T]) lease(ctx context.Context, n int) ([]lease.Item[int64, T], error) {
	if !s.cfg.Ordered {
		return s.query(ctx, nil, fmt.Sprintf(fetchSQL, ""), s.cfg.Queue, n, s.owner, s.cfg.Lease.Microseconds())
	}
	// Jobs with and without a key take turns to be first.
	s.keyless = !s.keyless
	var items []lease.Item[int64, T]
	for _, keyless := range []bool{s.keyless, !s.keyless} {
		f := s.heads
		if keyless {
			f = s.withoutKey
		}
		more, err := f(ctx, n-len(items))
		items = append(items, more...)
		if err != nil || len(items) >= n {
			// What was leased already goes on; the error comes again.
			if len(items) > 0 {
				err = nil
			}
			return items, err
		}
	}
	return items, nil
}

func (s *store[T]) withoutKey(ctx context.Context, n int) ([]lease.Item[int64, T], error) {
	return s.query(ctx, nil, fmt.Sprintf(fetchSQL, "AND key = ''"), s.cfg.Queue, n, s.owner, s.cfg.Lease.Microseconds())
}

// keysAtOnce bounds the keys that one statement looks at.
const keysAtOnce = 1000

// heads leases the first jobs of keys, from the key on at which it has stopped the last time, so
// that keys take turns. It returns none only after it has looked at all keys.
func (s *store[T]) heads(ctx context.Context, n int) ([]lease.Item[int64, T], error) {
	for {
		from, seen, last := s.cursor, 0, ""
		look := func(count int, key string) { seen, last = count, key }
		items, err := s.query(ctx, look, orderedSQL, s.cfg.Queue, n, s.owner, s.cfg.Lease.Microseconds(), from, keysAtOnce)
		if err != nil {
			return nil, err
		}
		switch {
		case len(items) >= n:
			s.cursor = ""
			for _, item := range items {
				s.cursor = max(s.cursor, s.keys[item.ID])
			}
		case seen < keysAtOnce:
			s.cursor = ""
		default:
			s.cursor = last
		}
		clear(s.keys)
		if len(items) > 0 || from == "" && s.cursor == "" {
			return items, nil
		}
	}
}

// query executes a statement that leases. A row with a negative id is none: look gets what it
// has.
func (s *store[T]) query(ctx context.Context, look func(int, string), sql string, args ...any) ([]lease.Item[int64, T], error) {
	rows, err := s.cfg.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var items []lease.Item[int64, T]
	job, fence := Job{Queue: s.cfg.Queue}, int64(0)
	_, err = pgx.ForEachRow(rows, []any{&job.ID, &job.Key, &job.Payload, &job.CreatedAt, &job.RunAt, &job.Attempts, &fence}, func() error {
		if job.ID <= 0 && look != nil {
			look(int(-job.ID), job.Key)
			return nil
		}
		items = append(items, s.item(job, fence))
		if look != nil {
			s.keys[job.ID] = job.Key
		}
		job.Payload = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// item decodes a job.
func (s *store[T]) item(job Job, fence int64) lease.Item[int64, T] {
	item := lease.Item[int64, T]{ID: job.ID, Fence: fence}
	if job.Attempts > s.cfg.MaxAttempts {
		item.Err = fmt.Errorf("leased %d times without a receipt", job.Attempts-1)
	} else {
		item.Event, item.Err = decode(s.cfg.Decode, job)
	}
	if item.Err != nil {
		item.Letter = deadletter.Letter{Key: job.Key, Source: job.Position(), Attempts: job.Attempts}
		item.Letter.SetBytes(job.Payload)
	}
	return item
}

// decode calls f; a panic is an error.
func decode[E, T any](f func(E) (T, error), e E) (event T, err error) {
	defer crash.Catch(&err)
	return f(e)
}

// text returns what a column can hold of a text.
func text(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?") }

// subscribe makes the connection that listens.
func (s *store[T]) subscribe(ctx context.Context) error {
	if s.listen != nil && !s.listen.Conn().IsClosed() {
		return nil
	}
	s.unsubscribe()
	conn, err := s.cfg.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		conn.Release()
		return err
	}
	s.listen = conn
	return nil
}

// unsubscribe closes the connection that listens: its subscription must not be in the pool.
func (s *store[T]) unsubscribe() {
	if s.listen != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // without a goodbye, which might wait
		_ = s.listen.Conn().Close(ctx)
		s.listen.Release()
		s.listen = nil
	}
}

// Wait implements lease.Store: until a job of the queue is announced, a scheduled one is due, or
// the poll interval is over.
func (s *store[T]) Wait(ctx context.Context) error {
	limit := s.cfg.PollInterval
	if s.due > 0 {
		limit = min(limit, s.due)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		// A timeout leaves the connection as it is.
		n, err := s.listen.Conn().WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.unsubscribe()
			return err
		}
		if n.Payload == s.cfg.Queue {
			return nil
		}
	}
}

// Settle implements lease.Store.
func (s *store[T]) Settle(ctx context.Context, ends []lease.Verdict[int64]) (late int, err error) {
	var done, dead, free struct {
		ids, leases []int64
		texts       []string
		unused      []int32
	}
	for _, v := range ends {
		switch v.End {
		case lease.Done:
			done.ids, done.leases = append(done.ids, v.ID), append(done.leases, v.Fence)
		case lease.Failed:
			dead.ids, dead.leases, dead.texts = append(dead.ids, v.ID), append(dead.leases, v.Fence), append(dead.texts, text(v.Error))
		default:
			unused := int32(0)
			if v.End == lease.Unused {
				unused = 1
			}
			free.ids, free.leases, free.unused = append(free.ids, v.ID), append(free.leases, v.Fence), append(free.unused, unused)
		}
	}
	batch, ended := &pgx.Batch{}, int64(0)
	if len(done.ids) > 0 {
		batch.Queue(s.settle, done.ids, done.leases)
	}
	if len(dead.ids) > 0 {
		batch.Queue(deadSQL, dead.ids, dead.leases, dead.texts)
	}
	if len(free.ids) > 0 {
		batch.Queue(freeSQL, free.ids, free.leases, free.unused, s.owner)
	}
	// One round trip and one transaction.
	results := s.cfg.Pool.SendBatch(ctx, batch)
	for range batch.Len() {
		tag, err := results.Exec()
		if err != nil {
			return 0, errors.Join(err, results.Close())
		}
		ended += tag.RowsAffected()
	}
	return len(ends) - int(ended), results.Close()
}

// Renew implements lease.Store. A lease that has run out and was not taken is renewed as well.
func (s *store[T]) Renew(ctx context.Context, held []lease.Held[int64]) (lost []lease.Held[int64], err error) {
	ids, leases := make([]int64, len(held)), make([]int64, len(held))
	for i, h := range held {
		ids[i], leases[i] = h.ID, h.Fence
	}
	rows, err := s.cfg.Pool.Query(ctx, renewSQL, ids, leases, s.cfg.Lease.Microseconds())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (h lease.Held[int64], err error) {
		err = row.Scan(&h.ID, &h.Fence)
		return h, err
	})
}

// Lag implements lease.Store. It counts 100,000 jobs at most.
func (s *store[T]) Lag(ctx context.Context) (lag lease.Lag, err error) {
	var seconds float64
	err = s.cfg.Pool.QueryRow(ctx, lagSQL, s.cfg.Queue).Scan(&lag.Waiting, &lag.Leased, &seconds)
	lag.Oldest = max(0, time.Duration(seconds*float64(time.Second)))
	return lag, err
}

// Close implements lease.Store.
func (s *store[T]) Close(context.Context, bool) error {
	s.unsubscribe()
	return nil
}
