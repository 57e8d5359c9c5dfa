package kafka

import (
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/receipt"
)

// Verdict is what a member of a share group says about a record.
type Verdict uint8

// The verdicts.
const (
	// Accept finishes the record.
	Accept Verdict = iota + 1
	// Release has the broker deliver it again, at once, to this member or another one, as
	// often as the group allows: five deliveries by default. Then it is lost.
	Release
	// Reject finishes the record as one that cannot be used.
	Reject
)

// VerdictOf is the verdict on a record whose event had an outcome: Done and Discarded are
// accepted, Failed is rejected and Abandoned released.
func VerdictOf(_ *kgo.Record, outcome receipt.Outcome) Verdict {
	switch outcome {
	case receipt.Failed:
		return Reject
	case receipt.Abandoned:
		return Release
	}
	return Accept
}

// ShareConfig configures [NewShare]. Brokers, Topics, Group and Decode are required.
type ShareConfig[T any] struct {
	// Brokers are host:port of some of the cluster's brokers.
	Brokers []string
	// Topics are read together with the other members.
	Topics []string
	// Group is the share group. Where it begins is a setting of the group at the broker,
	// share.auto.offset.reset: behind the newest record, unless that is "earliest".
	Group string

	// Decode makes an event of a record, on the poller's goroutine. An error or a panic
	// makes the record poison, which is rejected. r.DeliveryCount says how often the record
	// was delivered. Its bytes may be kept.
	Decode func(r *kgo.Record) (T, error)
	// OnPoison gets the records that could not be used before they are rejected, on the
	// poller's goroutine; see [Config].OnPoison. Default: they are counted and logged.
	OnPoison func(record *kgo.Record, err error)
	// Limits bound a record. Default: see [Limits].
	Limits Limits
	// Verdict decides by the outcome of a record's event, on the stage's goroutine.
	// Default: VerdictOf.
	Verdict func(record *kgo.Record, outcome receipt.Outcome) Verdict

	// Size bounds the records that this member has, 1 to 10,000. They are finished
	// together: the next ones are fetched when all of them have their verdict.
	// Default: 500.
	Size int
	// RenewInterval is how often the locks of unfinished records are renewed, 100 ms to an
	// hour. It must be well below the group's share.record.lock.duration.ms, 30 s by
	// default. Needs Kafka 4.2. Default: 10 s.
	RenewInterval time.Duration
	// CloseTimeout bounds the end: the last verdicts and leaving the group. Default: 4 s.
	CloseTimeout time.Duration
	// Options are added to the client's: TLS, SASL, a dialer. The fields of this config
	// are set after them.
	Options []kgo.Opt

	// Metrics gets the counters kafka.share.records, kafka.share.poison,
	// kafka.share.accepted, kafka.share.released, kafka.share.rejected,
	// kafka.share.ack_errors and kafka.share.errors. Nil records nothing.
	Metrics metrics.Recorder
	// Logger gets the events that an operator needs. Default: slog.Default.
	Logger *slog.Logger
}

func (c ShareConfig[T]) withDefaults() ShareConfig[T] {
	c.Limits = c.Limits.withDefaults()
	if c.Verdict == nil {
		c.Verdict = VerdictOf
	}
	option.Default(&c.Size, 500)
	option.Default(&c.RenewInterval, 10*time.Second)
	option.Default(&c.CloseTimeout, 4*time.Second)
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c *ShareConfig[T]) validate() error {
	owner := option.Owner("kafka.Share")
	l := c.Limits
	return option.First(
		owner.Check(len(c.Brokers) > 0, "Brokers", c.Brokers, "one or more of host:port"),
		owner.Check(len(c.Topics) > 0, "Topics", c.Topics, "one or more names"),
		owner.Check(c.Group != "", "Group", c.Group, "a name"),
		owner.Needs("Decode", c.Decode, "a function"),
		owner.Check(l.Headers >= 0 && l.KeyBytes >= 0 && l.HeaderBytes >= 0 && l.ValueBytes >= 0, "Limits", l, "0 for the default, or 1 or more"),
		owner.Check(c.Size >= 1 && c.Size <= 10_000, "Size", c.Size, "1 to 10,000, or 0 for the default"),
		owner.Check(c.RenewInterval >= 100*time.Millisecond && c.RenewInterval <= time.Hour, "RenewInterval", c.RenewInterval, "100ms to 1h, or 0 for the default"),
		owner.Check(c.CloseTimeout >= 10*time.Millisecond && c.CloseTimeout <= time.Minute, "CloseTimeout", c.CloseTimeout, "10ms to 1m, or 0 for the default"),
		owner.Recorder(c.Metrics),
		checkOptions(owner, c.Options),
	)
}

// options are the client's. It fetches only when it is polled: the locks of records that
// wait inside the client cannot be renewed.
func (c *ShareConfig[T]) options() []kgo.Opt {
	return append(slices.Clone(c.Options),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ShareGroup(c.Group),
		kgo.ConsumeTopics(c.Topics...),
		kgo.ShareMaxRecords(int32(c.Size)),
		kgo.ShareMaxRecordsStrict(),
		kgo.MaxConcurrentFetches(0),
		kgo.MaxDecompressBatchBytes(maxDecompressed),
	)
}
