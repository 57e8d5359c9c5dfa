package postgres

import (
	"cmp"
	"context"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/penstock-go/penstock/internal/sourcetest"
	"github.com/penstock-go/penstock/stage"
)

const childQueue, childOrdered = "PENSTOCK_POSTGRES_CHILD", "PENSTOCK_POSTGRES_ORDERED"

func TestMain(m *testing.M) {
	if sourcetest.Main(func() (stage.Producer[sourcetest.Event], error) {
		pool, err := pgxpool.New(context.Background(), os.Getenv("PENSTOCK_POSTGRES"))
		if err != nil {
			return nil, err
		}
		return NewProducer(eventConfig(pool, os.Getenv(childQueue), os.Getenv(childOrdered) != "", sourcetest.Options{Window: sourcetest.KillWindow}))
	}) {
		return
	}
	goleak.VerifyTestMain(m)
}

// server returns a pool of a PostgreSQL with the table, or skips the test.
func server(t testing.TB) *pgxpool.Pool {
	t.Helper()
	sourcetest.Server(t, "postgres")
	pool := newPool(t, "")
	if err := Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// newPool returns a pool of the server, or of a proxy of it.
func newPool(t testing.TB, addr string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(os.Getenv("PENSTOCK_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	if addr != "" {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		cfg.ConnConfig.Host, cfg.ConnConfig.Port = host, uint16(n)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func eventConfig(pool *pgxpool.Pool, queue string, ordered bool, o sourcetest.Options) Config[sourcetest.Event] {
	return Config[sourcetest.Event]{
		Pool: pool, Queue: queue, Ordered: ordered, Window: o.Window, DeadLetters: o.DeadLetters,
		Lease: cmp.Or(o.Lease, time.Second), PollInterval: 200 * time.Millisecond,
		Decode: func(j Job) (sourcetest.Event, error) { return sourcetest.Parse(string(j.Payload)) },
	}
}

func backend(t *testing.T, ordered bool) sourcetest.Backend {
	pool, queue := server(t), sourcetest.NewName()
	b := sourcetest.Backend{
		Ordered: ordered,
		Control: sourcetest.Control("postgres"),
		Append: func(t testing.TB, events []sourcetest.Event, more ...string) {
			t.Helper()
			var jobs []Job
			for _, text := range more {
				jobs = append(jobs, Job{Queue: queue, Payload: []byte(text)})
			}
			for _, e := range events {
				jobs = append(jobs, Job{Queue: queue, Key: e.Key, Payload: []byte(e.Text())})
			}
			if err := Enqueue(t.Context(), pool, jobs...); err != nil {
				t.Fatal(err)
			}
		},
		Source: func(t testing.TB, o sourcetest.Options) stage.Producer[sourcetest.Event] {
			p := pool
			if o.Addr != "" {
				p = newPool(t, o.Addr)
			}
			return stage.Must(NewProducer(eventConfig(p, queue, ordered, o)))
		},
		Left: func(testing.TB) (n int) {
			err := pool.QueryRow(context.Background(), "SELECT count(*) FROM penstock_jobs WHERE queue = $1 AND state = 'waiting'", queue).Scan(&n)
			if err != nil {
				return -1 // it is away
			}
			return n
		},
		Taken: func(source stage.Producer[sourcetest.Event]) int {
			return int(source.(*Producer[sourcetest.Event]).Snapshot().Fetched)
		},
		Child: []string{childQueue + "=" + queue},
		Addr:  net.JoinHostPort(pool.Config().ConnConfig.Host, strconv.Itoa(int(pool.Config().ConnConfig.Port))),
	}
	if ordered {
		b.Child = append(b.Child, childOrdered+"=1")
	}
	return b
}

// TestSource runs the cases of all sources.
func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend { return backend(t, false) })
}

// TestSourceOrdered runs them with an order of each key.
func TestSourceOrdered(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Backend { return backend(t, true) })
}
