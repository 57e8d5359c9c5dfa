package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

func jobs(pool *pgxpool.Pool, queue string) Config[Job] {
	return Config[Job]{
		Pool: pool, Queue: queue, Lease: time.Second, PollInterval: time.Minute, // so that only announcements wake it
		Decode: func(j Job) (Job, error) { return j, nil },
	}
}

// begin runs a source of jobs into f, which is called once for each, and returns what drains it.
func begin(t *testing.T, cfg Config[Job], f func(context.Context, Job) error, step pipeline.StepConfig[Job]) (*Producer[Job], func()) {
	t.Helper()
	source := stage.Must(NewProducer(cfg))
	step.Retry = retry.Policy{MaxAttempts: 1}
	return source, sourcetest.Begin(t, source, f, step).Drain
}

// count returns the number of jobs of a queue in a state.
func count(t *testing.T, pool *pgxpool.Pool, queue, state string) (n int) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), "SELECT count(*) FROM penstock_jobs WHERE queue = $1 AND state = $2", queue, state).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Jobs exist when their transaction has committed, and an idle source has them at once.
func TestOutbox(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	got := make(chan string, 10)
	_, end := begin(t, jobs(pool, queue), func(_ context.Context, j Job) error {
		got <- string(j.Payload)
		return nil
	}, pipeline.StepConfig[Job]{})
	defer end()
	time.Sleep(300 * time.Millisecond) // it listens
	for _, commit := range []bool{false, true} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := Enqueue(t.Context(), tx, Job{Queue: queue, Payload: fmt.Append(nil, commit)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if len(got) > 0 {
			t.Fatalf("%s before its commit", <-got)
		}
		at := time.Now()
		if !commit {
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != "true" {
			t.Errorf("got %s", text)
		}
		t.Logf("%v after the commit", time.Since(at))
		if d := time.Since(at); d > 20*time.Second { // of the minute of PollInterval
			t.Errorf("%v after the commit", d)
		}
	}
}

// A scheduled job comes when it is due, without a poll, which there is each minute.
func TestScheduledJobs(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	due := time.Now().Add(1500 * time.Millisecond)
	if err := Enqueue(t.Context(), pool, Job{Queue: queue, RunAt: due}, Job{Queue: queue, RunAt: due.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got := make(chan time.Time, 2)
	_, end := begin(t, jobs(pool, queue), func(context.Context, Job) error {
		got <- time.Now()
		return nil
	}, pipeline.StepConfig[Job]{})
	at := <-got
	end()
	if late := at.Sub(due); late < 0 || late > 20*time.Second || len(got) > 0 {
		t.Errorf("%v late, %d more", late, len(got))
	}
}

// A job that has failed for good is dead in the table, does not stop those behind it, and can be
// revived, which the source has at once. Both kinds have their error there.
func TestDeadJobs(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	if err := Enqueue(t.Context(), pool, Job{Queue: queue, Key: "k", Payload: []byte("bad")}, Job{Queue: queue, Key: "k", Payload: []byte("x\x00\xff")},
		Job{Queue: queue, Key: "k", Payload: []byte("good")}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	bad := true
	cfg := jobs(pool, queue)
	cfg.Ordered = true
	cfg.Decode = func(j Job) (Job, error) {
		if strings.HasPrefix(string(j.Payload), "x") {
			return j, errors.New("no job: " + string(j.Payload))
		}
		return j, nil
	}
	_, end := begin(t, cfg, func(_ context.Context, j Job) error {
		mu.Lock()
		defer mu.Unlock()
		if bad && string(j.Payload) == "bad" {
			return errors.New("refused: " + strings.Repeat("ä", 600))
		}
		got = append(got, string(j.Payload))
		return nil
	}, pipeline.StepConfig[Job]{})
	sourcetest.Until(t, "two are dead", func() bool { return count(t, pool, queue, "dead") == 2 && count(t, pool, queue, "waiting") == 0 })
	var text string
	if err := pool.QueryRow(t.Context(), "SELECT error FROM penstock_jobs WHERE queue = $1 AND payload <> 'bad'", queue).Scan(&text); err != nil || text != "no job: x??" {
		t.Errorf("%q, %v", text, err)
	}
	if err := pool.QueryRow(t.Context(), "SELECT error FROM penstock_jobs WHERE queue = $1 AND payload = 'bad'", queue).Scan(&text); err != nil ||
		!strings.HasPrefix(text, "refused: ää") || len(text) < 1000 || len(text) > 1024 {
		t.Errorf("%q, %v", text, err)
	}
	mu.Lock()
	bad = false
	mu.Unlock()
	var id int64
	if err := pool.QueryRow(t.Context(), "SELECT id FROM penstock_jobs WHERE queue = $1 AND payload = 'bad'", queue).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if n, err := Revive(t.Context(), pool, queue, id); n != 1 || err != nil {
		t.Errorf("%d revived: %v", n, err)
	}
	sourcetest.Until(t, "it is handled", func() bool { return count(t, pool, queue, "waiting") == 0 }) // the next poll is in a minute
	end()
	if n := count(t, pool, queue, "dead"); n != 1 || len(got) != 2 || got[0] != "good" {
		t.Errorf("%d dead, %q handled", n, got)
	}
}

// A job that was leased too often is dead.
func TestAttemptsAreBounded(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	if err := Enqueue(t.Context(), pool, Job{Queue: queue}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE penstock_jobs SET attempts = 20 WHERE queue = $1", queue); err != nil {
		t.Fatal(err)
	}
	_, end := begin(t, jobs(pool, queue), func(context.Context, Job) error {
		t.Error("leased once more")
		return nil
	}, pipeline.StepConfig[Job]{})
	sourcetest.Until(t, "it is dead", func() bool { return count(t, pool, queue, "dead") == 1 })
	end()
}

// What is marked as done stays.
func TestKeepDone(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	if err := Enqueue(t.Context(), pool, Job{Queue: queue}, Job{Queue: queue}); err != nil {
		t.Fatal(err)
	}
	cfg := jobs(pool, queue)
	cfg.KeepDone = true
	_, end := begin(t, cfg, func(context.Context, Job) error { return nil }, pipeline.StepConfig[Job]{})
	sourcetest.Until(t, "both are done", func() bool { return count(t, pool, queue, "done") == 2 })
	end()
}

// Sweep deletes what was done, and nothing else. With PENSTOCK_LONG it has a million jobs.
func TestSweep(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	n := 25_000
	if os.Getenv("PENSTOCK_LONG") != "" {
		n = 1_000_000
	}
	t.Cleanup(func() {
		_, _ = pool.Exec(context.Background(), "DELETE FROM penstock_jobs WHERE queue LIKE $1", queue+"%")
	})
	const insert = "INSERT INTO penstock_jobs (queue, payload, state, finished_at) SELECT $1, $2, $3, now() - $4 * interval '1 second' FROM generate_series(1, $5)"
	for _, rows := range []struct {
		queue, state string
		age, n       int
	}{{queue, "done", 7200, n}, {queue, "dead", 7200, 3}, {queue, "waiting", 7200, 4}, {queue, "done", 60, 5}, {queue + "-other", "done", 7200, 6}} {
		if _, err := pool.Exec(t.Context(), insert, rows.queue, make([]byte, 100), rows.state, rows.age, rows.n); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if swept, err := Sweep(t.Context(), pool, queue, time.Hour); swept != int64(n) || err != nil {
		t.Errorf("%d swept, %v", swept, err)
	}
	t.Logf("%d jobs of 100 bytes swept in %v", n, time.Since(begun).Round(time.Millisecond))
	if done, dead, waiting := count(t, pool, queue, "done"), count(t, pool, queue, "dead"), count(t, pool, queue, "waiting"); done != 5 || dead != 3 || waiting != 4 {
		t.Errorf("%d done, %d dead, %d waiting are left", done, dead, waiting)
	}
	if other := count(t, pool, queue+"-other", "done"); other != 6 {
		t.Errorf("%d of the other queue are left", other)
	}
}

// Two sources of one ordered queue never have two jobs of a key at once, and 200,000 jobs that
// wait do not slow them down.
func TestOrderAcrossSources(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	const keys, each, backlog = 30, 20, 200_000
	if _, err := pool.Exec(t.Context(), `INSERT INTO penstock_jobs (queue, key, payload)
		SELECT $1, 'key ' || i % $2, convert_to((i / $2)::text, 'UTF8') FROM generate_series(0, $3 - 1) AS i`, queue, keys, backlog); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = pool.Exec(context.Background(), "DELETE FROM penstock_jobs WHERE queue = $1", queue) })
	var mu sync.Mutex
	next, busy, total := map[string]int{}, map[string]bool{}, 0
	handle := func(_ context.Context, j Job) error {
		mu.Lock()
		if busy[j.Key] || string(j.Payload) != fmt.Sprint(next[j.Key]) {
			t.Errorf("%s: %s, busy: %v, due: %d", j.Key, j.Payload, busy[j.Key], next[j.Key])
		}
		busy[j.Key] = true
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		busy[j.Key] = false
		next[j.Key]++
		total++
		mu.Unlock()
		return nil
	}
	var ends []func()
	cfg := jobs(pool, queue)
	cfg.Ordered, cfg.PollInterval, cfg.Lease = true, 100*time.Millisecond, 30*time.Second
	begun := time.Now()
	for range 2 {
		_, end := begin(t, cfg, handle, pipeline.StepConfig[Job]{Workers: 8})
		ends = append(ends, end)
	}
	sourcetest.Until(t, "some of each", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return total >= keys*each
	})
	took := time.Since(begun)
	for _, end := range ends {
		end()
	}
	t.Logf("%d jobs in %v before %d that wait", total, took, backlog)
}

// A process whose lease was taken over does not end the job.
func TestFence(t *testing.T) {
	pool, queue := server(t), sourcetest.NewName()
	if err := Enqueue(t.Context(), pool, Job{Queue: queue}); err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	p, end := begin(t, jobs(pool, queue), func(context.Context, Job) error {
		<-open
		return nil
	}, pipeline.StepConfig[Job]{})
	sourcetest.Until(t, "it is out", func() bool { return p.Snapshot().InFlight == 1 })
	if _, err := pool.Exec(t.Context(), "UPDATE penstock_jobs SET lease = lease + 1, locked_by = 'another', locked_until = now() + interval '1 hour' WHERE queue = $1", queue); err != nil {
		t.Fatal(err)
	}
	sourcetest.Until(t, "it is lost", func() bool { return p.Snapshot().Lost == 1 })
	close(open)
	sourcetest.Until(t, "the receipt", func() bool { return p.Snapshot().Late == 1 })
	end()
	if n := count(t, pool, queue, "waiting"); n != 1 {
		t.Errorf("%d waiting", n)
	}
}
