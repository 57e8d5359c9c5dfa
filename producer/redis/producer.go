package redis

import (
	"crypto/rand"
	"os"

	"github.com/penstock-go/penstock/internal/lease"
	"github.com/penstock-go/penstock/metrics"
)

// Producer is a consumer of a consumer group as a stage.Producer. Make one with
// [NewProducer] and pass it to stage.NewProducer or pipeline.From.
type Producer[T any] struct {
	*lease.Source[key, T]
	store *store[T]
}

// Snapshot is a producer's counts and what it holds.
type Snapshot struct {
	lease.Snapshot
	// Trimmed counts claimed entries that were trimmed from their stream before they were
	// handled: they are lost.
	Trimmed int64 `json:"trimmed"`
	// Consumer is the name of this process in the group.
	Consumer string `json:"consumer"`
}

// NewProducer makes a producer. It opens nothing and starts no goroutine; its stage does. An
// error is an [*OptionError].
func NewProducer[T any](cfg Config[T]) (*Producer[T], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := newStore(cfg)
	r := cfg.Metrics
	return &Producer[T]{store: s, Source: lease.New(s, lease.Config{
		Name: "redis", Of: cfg.Group, Window: cfg.Window, FetchMax: 1000, SettleMax: 5000,
		Lease: cfg.Lease, Timeout: cfg.Timeout, CloseTimeout: cfg.CloseTimeout, Retry: cfg.Retry,
		DeadLetters: cfg.DeadLetters, Metrics: r, Logger: cfg.Logger,
		Meters: lease.Meters{
			Fetched: r.Counter("redis.entries"), Failed: r.Counter("redis.failed"), Released: r.Counter("redis.released"),
			Poison: r.Counter("redis.poison"), Lost: r.Counter("redis.lost"), Settled: r.Counter("redis.settled"),
			Errors: r.Counter("redis.errors"),
			Held:   r.Gauge("redis.held"), Waiting: r.Gauge("redis.lag"), Oldest: r.Gauge("redis.oldest"),
		},
	})}, nil
}

// Snapshot returns the counts, from any goroutine. It blocks only while they are copied.
func (p *Producer[T]) Snapshot() Snapshot {
	return Snapshot{Snapshot: p.Source.Snapshot(), Trimmed: p.store.trimmed.Load(), Consumer: p.store.consumer}
}

// HandleInspect implements stage.InspectHandler: it returns the [Snapshot].
func (p *Producer[T]) HandleInspect() any { return p.Snapshot() }

// randomName returns the name of a consumer that no other process has.
func randomName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "consumer"
	}
	return host + "-" + rand.Text()[:10]
}

func trimmedCounter(r metrics.Recorder) metrics.Counter { return r.Counter("redis.trimmed") }
