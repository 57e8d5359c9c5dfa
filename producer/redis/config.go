package redis

import (
	"fmt"
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
)

// Position selects where a group begins on a stream.
type Position uint8

// The positions.
const (
	// Oldest is the oldest entry that the stream still has.
	Oldest Position = iota
	// Newest is after the newest entry.
	Newest
)

func (p Position) id() string {
	if p == Newest {
		return "$"
	}
	return "0"
}

// Entry is an entry of a stream.
type Entry struct {
	Stream string
	// ID is the entry's ID in its stream, such as "1700000000000-0".
	ID string
	// Values are the fields of the entry.
	Values map[string]string
	// Deliveries is how often the entry was delivered, this time included.
	Deliveries int
}

// Position returns the entry's place, such as "orders@1700000000000-0". It is what an
// event made of the entry returns as a deadletter.Positioner.
func (e Entry) Position() string { return e.Stream + "@" + e.ID }

// Config configures [NewProducer]. Options, Streams, Group and Decode are required.
type Config[T any] struct {
	// Options say where Redis is, one server, sentinels or a cluster, and how to log in. The
	// producer makes a client of its own of a copy, without the client's own attempts
	// and with the deadlines of its calls. In a cluster all streams must be of one slot. The
	// client itself logs connections that cannot be made; its SetLogger changes that.
	Options *goredis.UniversalOptions
	// Streams are read together. One that does not exist is made.
	Streams []string
	// Group is the consumer group, whose consumers share the entries. It is made on
	// streams that do not have it.
	Group string
	// Consumer is the name of this process in the group. No two running processes may
	// have the same one. If it is the same after a restart, entries that the process had
	// are delivered again at once rather than after Lease. Default: a random name.
	Consumer string

	// Decode makes an event of an entry, on the reader's goroutine. An error or a panic
	// makes the entry poison; see the package comment. The map may be kept.
	Decode func(Entry) (T, error)

	// DeadLetters, if set, gets a letter for each entry that could not be used, with its
	// fields as JSON as the event. The entry is acknowledged when its letter is stored.
	// Default: it is logged and acknowledged.
	DeadLetters deadletter.Sink
	// MaxDeliveries bounds how often an entry is delivered, 1 or more; after that it is
	// poison. It needs DeadLetters. Default: 0, no bound.
	MaxDeliveries int

	// Start is where a group begins on a stream that does not have it. Default: Oldest.
	Start Position
	// Window bounds the number of entries that are not acknowledged, 1 to 1,000,000.
	// Default: 10,000.
	Window int
	// Lease is how long the entries of a process that has died stay with it, 100 ms to an
	// hour. All processes of a group should have the same. Default: 30 s.
	Lease time.Duration
	// Timeout bounds one request, 100 ms to 1 minute. Default: 3 s.
	Timeout time.Duration
	// CloseTimeout bounds the end, 10 ms to 1 minute. Default: 4 s, less than the 5 s that
	// a pipeline gives a stopped stage.
	CloseTimeout time.Duration
	// Retry has the pauses after requests that have failed. MaxAttempts bounds the reads
	// that fail in a row, after which the stage fails; the other requests are repeated
	// without end. Default: without a bound, 100 ms growing to 5 s.
	Retry retry.Policy

	// Metrics gets the counters redis.entries, redis.failed, redis.released, redis.poison,
	// redis.lost, redis.settled, redis.trimmed and redis.errors, the gauges redis.held,
	// redis.lag and redis.oldest, and with DeadLetters those of a deadletter.Writer. Nil
	// records nothing.
	Metrics metrics.Recorder
	// Logger gets the events that an operator needs. Default: slog.Default.
	Logger *slog.Logger
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

func (c Config[T]) withDefaults() Config[T] {
	option.Default(&c.Window, 10_000)
	option.Default(&c.Lease, 30*time.Second)
	option.Default(&c.Timeout, 3*time.Second)
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
	owner := option.Owner("redis.Producer")
	return option.First(
		owner.Needs("Options", c.Options, "options of a client"),
		checkStreams(owner, c.Streams),
		owner.Check(c.Group != "", "Group", c.Group, "a name"),
		owner.Needs("Decode", c.Decode, "a function"),
		owner.Optional("DeadLetters", c.DeadLetters, "a sink"),
		option.AtLeast(owner, "MaxDeliveries", c.MaxDeliveries, 0),
		owner.Check(c.MaxDeliveries == 0 || c.DeadLetters != nil, "MaxDeliveries", c.MaxDeliveries, "0 without DeadLetters, since entries would be lost"),
		owner.Check(c.Start <= Newest, "Start", c.Start, "Oldest or Newest"),
		option.Within(owner, "Window", c.Window, 1, 1_000_000),
		option.Within(owner, "Lease", c.Lease, 100*time.Millisecond, time.Hour),
		option.Within(owner, "Timeout", c.Timeout, 100*time.Millisecond, time.Minute),
		option.Within(owner, "CloseTimeout", c.CloseTimeout, 10*time.Millisecond, time.Minute),
		c.Retry.Validate("redis.Producer"),
		owner.Recorder(c.Metrics),
	)
}

func checkStreams(owner option.Owner, streams []string) error {
	if len(streams) == 0 {
		return owner.Refuse("Streams", streams, "one or more names")
	}
	seen := make(map[string]bool, len(streams))
	for i, name := range streams {
		if name == "" || seen[name] {
			return owner.Refuse(fmt.Sprintf("Streams[%d]", i), name, "a name that is there once")
		}
		seen[name] = true
	}
	return nil
}

// options returns what a client of our own is made of: it makes no attempts of its own, which
// would hide errors and outlast deadlines.
func options(o *goredis.UniversalOptions) *goredis.UniversalOptions {
	own := *o
	own.MaxRetries = -1
	own.ContextTimeoutEnabled = true
	own.DialerRetries = 1
	if own.MaintNotificationsConfig == nil {
		own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return &own
}
