package postgres_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer/postgres"
	"github.com/penstock-go/penstock/retry"
)

func ExampleNewProducer() {
	pool, err := pgxpool.New(context.Background(), "postgres://app@127.0.0.1:1/app") // where no PostgreSQL is
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	mails, err := postgres.NewProducer(postgres.Config[string]{
		Pool:   pool,
		Queue:  "mails",
		Decode: func(j postgres.Job) (string, error) { return string(j.Payload), nil },
		// Without MaxAttempts the source waits until there is one.
		Retry:  retry.Policy{MaxAttempts: 3, Backoff: time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := pipeline.New(pipeline.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	in := pipeline.From(p, mails, pipeline.SourceConfig[string]{})
	pipeline.Each(in, func(_ context.Context, text string) error {
		fmt.Println(text) // nil is the receipt: the job is deleted
		return nil
	}, pipeline.StepConfig[string]{})
	err = p.Run(context.Background())
	fmt.Println("failed:", err != nil, "after", mails.Snapshot().Errors >= 3)
	// Output:
	// failed: true after true
}

// tx stands for a transaction of the program: a pgx.Tx.
type tx struct{}

func (tx) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.NewCommandTag("INSERT 0 1"), nil
}

// The job exists if and only if the transaction commits, together with what else it writes.
func ExampleEnqueue() {
	ctx := context.Background()
	var t tx // t, err := pool.Begin(ctx)
	err := postgres.Enqueue(ctx, t, postgres.Job{
		Queue: "mails", Key: "user 7", Payload: []byte("welcome"),
		RunAt: time.Now().Add(time.Hour), // not before
	})
	fmt.Println(err)
	// err = t.Commit(ctx)

	err = postgres.Enqueue(ctx, t, postgres.Job{Payload: []byte("to which queue?")})
	fmt.Println(err)
	// Output:
	// <nil>
	// postgres: enqueue: job 1 of 1 has no queue
}
