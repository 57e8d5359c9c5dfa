package postgres

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
)

// Config configures [NewProducer]. Pool, Queue and Decode are required.
type Config[T any] struct {
	// Pool is the program's. The producer takes one of its connections for as long as it
	// runs, to listen for new jobs, and up to three for moments.
	Pool *pgxpool.Pool
	// Queue is the queue whose jobs are delivered.
	Queue string
	// Decode makes an event of a job, on the fetcher's goroutine. An error or a panic makes
	// the job poison; see the package comment. The payload may be kept.
	Decode func(Job) (T, error)

	// Ordered has at most one job of a key out, and the jobs of a key in their order. See the
	// package comment. Default: false.
	Ordered bool
	// KeepDone marks handled jobs with the state 'done' rather than delete them. [Sweep]
	// deletes them some time later. Default: false.
	KeepDone bool
	// DeadLetters, if set, gets a letter for each job that could not be used, with its payload
	// as the event, before the job is dead in the table. Default: it is dead in the table.
	DeadLetters deadletter.Sink
	// MaxAttempts bounds how often a job is leased, 1 to 1,000,000; after that it is poison.
	// Default: 20.
	MaxAttempts int

	// Window bounds the number of jobs that are leased, 1 to 100,000. Default: 10,000.
	Window int
	// Lease is how long the jobs of a process that has died stay with it, 100 ms to an hour.
	// Default: 30 s.
	Lease time.Duration
	// PollInterval is how often the table is looked at while nothing was announced, 10 ms to
	// an hour. Default: 1 s.
	PollInterval time.Duration
	// Timeout bounds one statement, 100 ms to 10 minutes. Default: 5 s.
	Timeout time.Duration
	// CloseTimeout bounds the end, 10 ms to 1 minute. Default: 4 s, less than the 5 s that
	// a pipeline gives a stopped stage.
	CloseTimeout time.Duration
	// Retry has the pauses after statements that have failed. MaxAttempts bounds the fetches
	// that fail in a row, after which the stage fails; other statements are repeated without
	// end. Default: without a bound, 100 ms growing to 5 s.
	Retry retry.Policy

	// Metrics gets the counters postgres.jobs, postgres.failed, postgres.released,
	// postgres.poison, postgres.lost, postgres.settled and postgres.errors, the gauges
	// postgres.held, postgres.waiting and postgres.oldest, and with DeadLetters those of a
	// deadletter.Writer. Nil records nothing.
	Metrics metrics.Recorder
	// Logger gets the events that an operator needs. Default: slog.Default.
	Logger *slog.Logger
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

func (c Config[T]) withDefaults() Config[T] {
	option.Default(&c.MaxAttempts, 20)
	option.Default(&c.Window, 10_000)
	option.Default(&c.Lease, 30*time.Second)
	option.Default(&c.PollInterval, time.Second)
	option.Default(&c.Timeout, 5*time.Second)
	option.Default(&c.CloseTimeout, 4*time.Second)
	option.Default(&c.Retry.MaxAttempts, retry.Unlimited)
	if c.Retry.Backoff <= 5*time.Second {
		option.Default(&c.Retry.MaxBackoff, 5*time.Second)
	}
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c *Config[T]) validate() error {
	owner := option.Owner("postgres.Producer")
	return option.First(
		owner.Needs("Pool", c.Pool, "a pool"),
		owner.Check(c.Queue != "", "Queue", c.Queue, "a name"),
		owner.Needs("Decode", c.Decode, "a function"),
		owner.Optional("DeadLetters", c.DeadLetters, "a sink"),
		option.Within(owner, "MaxAttempts", c.MaxAttempts, 1, 1_000_000),
		option.Within(owner, "Window", c.Window, 1, 100_000),
		option.Within(owner, "Lease", c.Lease, 100*time.Millisecond, time.Hour),
		option.Within(owner, "PollInterval", c.PollInterval, 10*time.Millisecond, time.Hour),
		option.Within(owner, "Timeout", c.Timeout, 100*time.Millisecond, 10*time.Minute),
		option.Within(owner, "CloseTimeout", c.CloseTimeout, 10*time.Millisecond, time.Minute),
		c.Retry.Validate("postgres.Producer"),
		owner.Recorder(c.Metrics),
	)
}
