package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock-go/penstock/internal/lease"
)

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

// maxText bounds the error of a dead job, in bytes.
const maxText = 1024

// text returns what a column is to hold of a text.
func text(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") // without a part of a character
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}
