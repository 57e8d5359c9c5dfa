package postgres

import "github.com/penstock-go/penstock/internal/lease"

// Producer leases jobs of a queue, as a stage.Producer. Make one with [NewProducer] and pass
// it to stage.NewProducer or pipeline.From.
type Producer[T any] struct{ *lease.Source[int64, T] }

// Snapshot is a producer's counts and what it holds.
type Snapshot = lease.Snapshot

// NewProducer makes a producer. It opens nothing and starts no goroutine; its stage does. An
// error is an [*OptionError].
func NewProducer[T any](cfg Config[T]) (*Producer[T], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := cfg.Metrics
	return &Producer[T]{lease.New(newStore(cfg), lease.Config{
		Name: "postgres", Of: cfg.Queue, Window: cfg.Window, FetchMax: 1000, SettleMax: 5000, Ordered: cfg.Ordered,
		Lease: cfg.Lease, Timeout: cfg.Timeout, CloseTimeout: cfg.CloseTimeout, Retry: cfg.Retry,
		DeadLetters: cfg.DeadLetters, Metrics: r, Logger: cfg.Logger,
		Meters: lease.Meters{
			Fetched: r.Counter("postgres.jobs"), Failed: r.Counter("postgres.failed"), Released: r.Counter("postgres.released"),
			Poison: r.Counter("postgres.poison"), Lost: r.Counter("postgres.lost"), Settled: r.Counter("postgres.settled"),
			Errors: r.Counter("postgres.errors"),
			Held:   r.Gauge("postgres.held"), Waiting: r.Gauge("postgres.waiting"), Oldest: r.Gauge("postgres.oldest"),
		},
	})}, nil
}
