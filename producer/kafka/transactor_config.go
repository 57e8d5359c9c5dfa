package kafka

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
)

// TransactorConfig configures [NewTransactor]. Brokers, Topics, Group, ID and Transform
// are required.
type TransactorConfig struct {
	// Brokers are host:port of some of the cluster's brokers.
	Brokers []string
	// Topics are read completely, committed records only.
	Topics []string
	// Group is the consumer group whose members share the partitions.
	Group string
	// ID is the transactional id: of this member alone, and the same when it is started
	// again, such as "orders-0" for the first of some processes. The start of a member
	// aborts the transaction that an earlier one with its ID has left open, and fences
	// that one.
	ID string

	// Transform returns the records to write for a batch of records, in the order of each
	// partition. Records without a topic go to Topic. It is called on the goroutine of Run.
	// ctx is done when Run has been told to end and CloseTimeout has passed. It may be
	// called again with the same records, after an error and after an aborted transaction:
	// exactly once is what is written, not what Transform does elsewhere.
	Transform func(ctx context.Context, batch []*kgo.Record) ([]*kgo.Record, error)
	// Topic is the topic of records that name none. Default: none, they must name one.
	Topic string

	// Retry is how a batch is tried again for which Transform returns an error. Batches
	// that have failed for good are tried record by record. Default: see [retry.Policy].
	Retry retry.Policy
	// DeadTopic gets the records that fail for good alone, in the transaction that passes
	// them, with the headers of [DeadLetters]. Default: they are counted and logged, and
	// left out.
	DeadTopic string

	// Size bounds a batch, which is a transaction, in records: 1 to 100,000. Default: 500.
	Size int
	// Timeout is how long the broker lets a transaction be open before it aborts it, 1 s
	// to 15 minutes: after a crash readers of committed records wait that long, unless a
	// member with the same ID starts. Transform is not part of it. Default: 20 s.
	Timeout time.Duration
	// CloseTimeout bounds the end: the batch under way and leaving the group.
	// Default: 4 s.
	CloseTimeout time.Duration
	// Start is where the group begins on a partition on which it has committed nothing.
	// Default: Oldest.
	Start Position
	// Protocol is how the group assigns its partitions. Default: ClassicProtocol.
	Protocol Protocol
	// Options are added to the client's: TLS, SASL, a dialer. The fields of this config
	// are set after them.
	Options []kgo.Opt

	// Metrics gets the counters kafka.transactor.records, kafka.transactor.written,
	// kafka.transactor.dead, kafka.transactor.commits, kafka.transactor.aborts and
	// kafka.transactor.errors. Nil records nothing.
	Metrics metrics.Recorder
	// Logger gets the events that an operator needs. Default: slog.Default.
	Logger *slog.Logger
}

func (c TransactorConfig) withDefaults() TransactorConfig {
	option.Default(&c.Size, 500)
	option.Default(&c.Timeout, 20*time.Second)
	option.Default(&c.CloseTimeout, 4*time.Second)
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c *TransactorConfig) validate() error {
	const name = "kafka.Transactor"
	owner := option.Owner(name)
	return option.First(
		owner.Check(len(c.Brokers) > 0, "Brokers", c.Brokers, "one or more of host:port"),
		owner.Check(len(c.Topics) > 0, "Topics", c.Topics, "one or more names"),
		owner.Check(c.Group != "", "Group", c.Group, "a name"),
		owner.Check(c.ID != "", "ID", c.ID, "a name of this member alone"),
		owner.Needs("Transform", c.Transform, "a function"),
		owner.Check(c.Size >= 1 && c.Size <= 100_000, "Size", c.Size, "1 to 100,000, or 0 for the default"),
		owner.Check(c.Timeout >= time.Second && c.Timeout <= 15*time.Minute, "Timeout", c.Timeout, "1s to 15m, or 0 for the default"),
		owner.Check(c.CloseTimeout >= 10*time.Millisecond && c.CloseTimeout <= time.Minute, "CloseTimeout", c.CloseTimeout, "10ms to 1m, or 0 for the default"),
		owner.Check(c.Start <= Newest, "Start", c.Start, "Oldest or Newest"),
		owner.Check(c.Protocol <= ServerProtocol, "Protocol", c.Protocol, "ClassicProtocol or ServerProtocol"),
		owner.Recorder(c.Metrics),
		c.Retry.Validate(name),
		checkOptions(owner, c.Options),
	)
}

// options are the client's.
func (c *TransactorConfig) options() []kgo.Opt {
	// A partition that is resumed waits for a fetch of the others.
	opts := append([]kgo.Opt{kgo.FetchMaxWait(fetchMaxWait)}, c.Options...)
	if c.Protocol == ServerProtocol {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	if c.Topic != "" {
		opts = append(opts, kgo.DefaultProduceTopic(c.Topic))
	}
	return append(opts,
		kgo.SeedBrokers(c.Brokers...),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topics...),
		kgo.ConsumeStartOffset(c.Start.offset()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MaxDecompressBatchBytes(maxDecompressed),
		// As for the source: a partition that fails is kept out of fetches.
		kgo.KeepRetryableFetchErrors(),
		kgo.TransactionalID(c.ID),
		kgo.TransactionTimeout(c.Timeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
}
