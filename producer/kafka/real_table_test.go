package kafka

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock-go/penstock/internal/kafkatest"
)

// databaseVariable has the PostgreSQL of TestRealKillsIntoPostgres.
const databaseVariable = "PENSTOCK_POSTGRES"

// TestRealKillsIntoPostgres kills a program with SIGKILL, again and again, that takes records
// from Kafka through two transforms, which fail now and then, into batches that it INSERTs into
// a table of PostgreSQL. The table has no unique key, so that it shows each repetition. No
// record may be missing, a kill repeats at most the windows of the program's partitions, and the
// rows of a user that were written first are in the order of the records.
func TestRealKillsIntoPostgres(t *testing.T) {
	cluster := kafkatest.Shared(t)
	dsn := os.Getenv(databaseVariable)
	if dsn == "" {
		t.Skip("needs a PostgreSQL too: make test-kafka starts one, or " + databaseVariable + "=postgres://user@host:port/database")
	}
	kills, records := 3, 12_000
	if long {
		kills, records = 20, 200_000
	} else {
		t.Parallel()
	}
	const partitions, users, window, perSecond = 4, 500, 250, 2_500
	seed := uint64(time.Now().UnixNano())
	h := newHerd(t, cluster, "pipeline", partitions, users, seed)
	h.job.Window = window
	rows := newTable(t, h, dsn)
	begun := time.Now()
	poured := h.pour(records, perSecond)
	r := rand.New(rand.NewPCG(seed, 14))
	m := h.start()
	for range kills {
		// It has written something, and is in the middle of more.
		rows.grow(1 + int(r.Float64()*perSecond/2))
		m.kill()
		m = h.start()
	}
	poured()
	h.finish(2 * time.Minute)
	drain := h.term(m)
	sum, bound := rows.check(records), kills*partitions*window
	if sum.lost > 0 || sum.disorder > 0 || sum.again > bound {
		t.Errorf("%d lost, %d handled again of at most %d, %d out of order", sum.lost, sum.again, bound, sum.disorder)
	}
	t.Logf("%s, commit %s, seed %d\n"+
		"| kills | records | partitions | window | users | lost | twice | bound | out of order | longest gap | drain | time |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|---|\n"+
		"| %d | %d | %d | %d | %d | %d | %d | %d | %d | %v | %v | %v |",
		time.Now().Format(time.DateOnly), commitOfTest(), seed, kills, records, partitions, window, users,
		sum.lost, sum.again, bound, sum.disorder, sum.gap.Round(time.Millisecond), drain.Round(time.Millisecond),
		time.Since(begun).Round(time.Second))
}

// table is the table of one test, into which the members of a herd write.
type table struct {
	t    *testing.T
	pool *pgxpool.Pool
	name string
}

func newTable(t *testing.T, h *herd, dsn string) table {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	to := table{t, pool, "pushes_" + time.Now().Format("150405.000")}
	h.job.Database, h.job.Table = dsn, to.name
	t.Cleanup(func() {
		_, _ = pool.Exec(context.Background(), `DROP TABLE "`+to.name+`"`)
		pool.Close()
	})
	if _, err := pool.Exec(t.Context(), `CREATE TABLE "`+to.name+`" (id bigint GENERATED ALWAYS AS IDENTITY,
		at timestamptz NOT NULL DEFAULT clock_timestamp(), person int NOT NULL, seq int NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return to
}

// grow waits until n rows more are there.
func (to table) grow(n int) {
	to.t.Helper()
	before := to.rows()
	for end := time.Now().Add(time.Minute); to.rows() < before+n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			to.t.Fatalf("after a minute %d rows of %d", to.rows(), before+n)
		}
	}
}

func (to table) rows() (n int) {
	to.t.Helper()
	if err := to.pool.QueryRow(to.t.Context(), `SELECT coalesce(max(id), 0) FROM "`+to.name+`"`).Scan(&n); err != nil {
		to.t.Fatal(err)
	}
	return n
}

// check counts what the table shows of n records. A row is out of order if it is the first of
// its record and was written before the first row of an earlier record of its user.
func (to table) check(n int) (sum tally) {
	to.t.Helper()
	distinct, gap := 0, 0.0
	err := to.pool.QueryRow(to.t.Context(), `
WITH first AS (SELECT person, seq, min(id) AS id FROM "`+to.name+`" GROUP BY person, seq)
SELECT (SELECT count(*) FROM "`+to.name+`"), (SELECT count(*) FROM first),
	(SELECT count(*) FROM (SELECT id < max(id) OVER (PARTITION BY person ORDER BY seq) AS late FROM first) AS f WHERE late),
	(SELECT extract(epoch FROM max(pause))::float8 FROM (SELECT at - lag(at) OVER (ORDER BY id) AS pause FROM "`+to.name+`") AS p)`,
	).Scan(&sum.handled, &distinct, &sum.disorder, &gap)
	if err != nil {
		to.t.Fatal(err)
	}
	sum.lost, sum.again, sum.gap = n-distinct, sum.handled-distinct, time.Duration(gap*float64(time.Second))
	return sum
}

// insert writes records into the table, in their order, as a member does.
func insert(ctx context.Context, pool *pgxpool.Pool, table string, events []push) error {
	users, seqs := make([]int32, len(events)), make([]int32, len(events))
	for i, e := range events {
		users[i], seqs[i] = e.User, e.Seq
	}
	_, err := pool.Exec(ctx, `INSERT INTO "`+table+`" (person, seq)
		SELECT person, seq FROM unnest($1::int[], $2::int[]) WITH ORDINALITY AS e (person, seq, n) ORDER BY n`, users, seqs)
	return err
}
