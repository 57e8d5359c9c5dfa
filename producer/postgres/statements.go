package postgres

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
	// Jobs that are named by their id have no condition that a partial index has too: the
	// planner might read all of that index, since it does not know how large it is before the
	// table was analyzed.
	//
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
	WHERE id IN (SELECT id FROM free) AND state <> 'dead' AND state <> 'done' AND (locked_until IS NULL OR locked_until <= now())
	FOR UPDATE SKIP LOCKED
)` + leaseSQL + `
SELECT * FROM leased UNION ALL
SELECT -count(*), coalesce(max(key), ''), '', now(), now(), 0, 0 FROM heads`
	nextSQL = `
SELECT coalesce(extract(epoch FROM min(run_at) - now()), 0)::float8 FROM penstock_jobs
WHERE queue = $1 AND state = 'waiting' AND run_at > now()`

	deleteSQL = `
DELETE FROM penstock_jobs AS j USING unnest($1::bigint[], $2::bigint[]) AS e (id, lease)
WHERE j.id = e.id AND j.lease = e.lease`
	doneSQL = `
UPDATE penstock_jobs AS j SET state = 'done', finished_at = now(), locked_by = NULL, locked_until = NULL
FROM unnest($1::bigint[], $2::bigint[]) AS e (id, lease)
WHERE j.id = e.id AND j.lease = e.lease`
	deadSQL = `
UPDATE penstock_jobs AS j SET state = 'dead', finished_at = now(), locked_by = NULL, locked_until = NULL, error = coalesce(nullif(e.error, ''), j.error, 'a stage gave the receipt Failed')
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS e (id, lease, error)
WHERE j.id = e.id AND j.lease = e.lease`
	freeSQL = `
UPDATE penstock_jobs AS j SET locked_by = NULL, locked_until = NULL, attempts = attempts - e.unused
FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS e (id, lease, unused)
WHERE j.id = e.id AND j.lease = e.lease AND j.locked_by = $4`
	renewSQL = `
WITH held AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS h (id, lease)), renewed AS (
	UPDATE penstock_jobs AS j SET locked_until = clock_timestamp() + $3 * interval '1 microsecond'
	FROM held AS h WHERE j.id = h.id AND j.lease = h.lease RETURNING j.id
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
