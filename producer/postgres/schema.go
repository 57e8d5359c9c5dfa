package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Schema is the SQL that makes the table penstock_jobs, its indexes, and the trigger that
// announces new jobs, in the first schema of the search path. It may be executed any number of
// times. A job that waits or is leased has the state 'waiting'; the indexes have only those,
// so that dead and done ones cost nothing but their space.
const Schema = `
CREATE TABLE IF NOT EXISTS penstock_jobs (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	queue        text NOT NULL,
	key          text COLLATE "C" NOT NULL DEFAULT '',
	payload      bytea NOT NULL,
	state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead', 'done')),
	created_at   timestamptz NOT NULL DEFAULT now(),
	run_at       timestamptz NOT NULL DEFAULT now(),
	attempts     integer NOT NULL DEFAULT 0,
	lease        bigint NOT NULL DEFAULT 0,
	locked_by    text,
	locked_until timestamptz,
	finished_at  timestamptz,
	error        text
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS penstock_jobs_due ON penstock_jobs (queue, run_at, id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS penstock_jobs_key ON penstock_jobs (queue, key, run_at, id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS penstock_jobs_ended ON penstock_jobs (queue, state, id) WHERE state <> 'waiting';
CREATE OR REPLACE FUNCTION penstock_jobs_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify('penstock_jobs', q.queue) FROM (SELECT DISTINCT queue FROM inserted) AS q;
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER penstock_jobs_announce AFTER INSERT ON penstock_jobs
	REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION penstock_jobs_announce();
`

// channel is where the trigger of Schema announces, and Revive.
const channel = "penstock_jobs"

// Beginner begins transactions: a *pgxpool.Pool or a *pgx.Conn.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Migrate executes [Schema] in one transaction. Any number of processes may call it at the same
// time, at each of their starts.
func Migrate(ctx context.Context, db Beginner) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// Statements with IF NOT EXISTS fail if two transactions execute them together.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('penstock_jobs'))"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, Schema)
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

// Execer executes statements: a *pgxpool.Pool, a *pgx.Conn or a pgx.Tx.
type Execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}
