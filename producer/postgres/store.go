package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
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
