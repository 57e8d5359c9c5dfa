package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepAtOnce bounds the jobs that one transaction of Sweep looks at, so that none is open for
// long.
const sweepAtOnce = 10_000

// Sweep deletes the jobs of a queue that [Config.KeepDone] has kept and that were done longer
// ago than age, and returns their number. Dead jobs stay. It takes a transaction for each 10,000
// jobs; those of before an error stay deleted.
func Sweep(ctx context.Context, db Beginner, queue string, age time.Duration) (n int64, err error) {
	for last, more := int64(0), true; more; {
		var seen, gone int64
		err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, sweepSQL, queue, last, sweepAtOnce, age.Microseconds()).Scan(&seen, &gone, &last)
		})
		if err != nil {
			return n, fmt.Errorf("postgres: sweep: %w", err)
		}
		n += gone
		more = seen == sweepAtOnce
	}
	return n, nil
}

// It goes on behind the last job that it has seen: a statement that began at the first one again
// would look through all index entries of those that were deleted before.
const sweepSQL = `
WITH page AS (
	SELECT id, finished_at FROM penstock_jobs WHERE queue = $1 AND state = 'done' AND id > $2 ORDER BY id LIMIT $3
), gone AS (
	DELETE FROM penstock_jobs AS j USING page AS p
	WHERE j.id = p.id AND p.finished_at <= now() - $4 * interval '1 microsecond' RETURNING 1
)
SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM gone), coalesce((SELECT max(id) FROM page), 0)`
