package kafka

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/stage"
)

// Position selects where on a partition to begin.
type Position uint8

// The positions.
const (
	// Oldest is the oldest record that the broker still has.
	Oldest Position = iota
	// Newest is after the newest record.
	Newest
)

func (p Position) offset() kgo.Offset {
	if p == Newest {
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().AtStart()
}

// Config configures [NewProducer]. Brokers, Topics, Group and Decode are
// required.
type Config[T any] struct {
	// Brokers are host:port of some of the cluster's brokers, from which the
	// client learns the others.
	Brokers []string
	// Topics are read completely, all partitions.
	Topics []string
	// TopicPatterns, instead of Topics, are regular expressions. Every topic is read
	// whose whole name matches one of them, and none of NotTopics. A topic that is made
	// later is found within 30 s, or as soon as kgo.MetadataMaxAge in Options says.
	TopicPatterns, NotTopics []string
	// Group is the consumer group whose members share the partitions.
	Group string
	// Protocol is how the group assigns its partitions. Default: ClassicProtocol.
	Protocol Protocol
	// ReadCommitted has records of transactions delivered only when their transaction
	// is committed, and never those of an aborted one. An open transaction holds up
	// what is behind it on its partition. Default: all records are delivered.
	ReadCommitted bool

	// Decode makes an event of a record, on the poller's goroutine, in the
	// order of each partition. An error, a panic or runtime.Goexit makes the record
	// poison; see the package comment. Polls and rebalances do not wait for it. The
	// record is not used again afterwards, so its bytes may be kept.
	Decode func(*kgo.Record) (T, error)

	// DeadLetters, if set, gets a letter for each record that could not be used,
	// with the record's value as the event, and the record is finished when its
	// letter is stored. Its partition is read on meanwhile, up to Window.
	// Default: the record is finished when OnPoison has returned.
	DeadLetters deadletter.Sink
	// OnPoison gets the records that could not be used, on the poller's
	// goroutine; err is the error of Decode, a *stage.PanicError or a
	// *[LimitError]. Nothing is polled meanwhile. Default: the record is counted
	// and logged, and dropped unless DeadLetters is set.
	OnPoison func(record *kgo.Record, err error)

	// Limits bound a record. Default: see [Limits].
	Limits Limits

	// Start is where the group begins in a topic of which it has committed nothing.
	// Newest is committed at once. A partition that is added later, or has no commit for
	// another reason, is read from its oldest record. Default: Oldest.
	Start Position
	// StartAt, instead of Start, begins at the first record of that time or later, by
	// the records' timestamps, or behind the newest one if there is none.
	StartAt time.Time
	// StartAgo is StartAt, counted back from the start of the stage. A partition that
	// is added later is read from its oldest record on.
	StartAgo time.Duration
	// Reset is where a partition continues if the broker no longer has the
	// offset that is due. Default: Oldest, which repeats records rather than
	// skip some.
	Reset Position
	// ResetAgo, instead of Reset, continues there with the first record that is at most
	// that much older than the newest one.
	ResetAgo time.Duration

	// BadBatches is what becomes of a batch of records that cannot be read: it is corrupt,
	// or has more than 64 MiB uncompressed. Default: SkipBatches, once it was read in vain
	// three times: its bytes are one poison record, with the batch's last offset and a
	// *[BatchError].
	BadBatches BadBatches
	// Delay holds a record back until it is that old, by its timestamp, and with it the
	// records behind it on its partition: for a topic of retries, see [Retries]. Up to
	// 7 days. Default: 0, records of any age are delivered.
	Delay time.Duration

	// Window bounds the number of records of a partition from the first
	// uncommitted one to the last polled one, and so how many of it are delivered
	// again after a crash. Beyond it no more are polled. 1 to 1,000,000. Default:
	// 10,000. See the package comment.
	Window int

	// CommitInterval is the period of commits of finished prefixes, 10 ms to 1
	// minute. Default: 1 s.
	CommitInterval time.Duration
	// CommitTimeout bounds one commit, 100 ms to 1 minute. Default: 3 s.
	CommitTimeout time.Duration
	// RevokeTimeout bounds how long a revoked partition waits for the receipts
	// of events in flight, up to 50 s. The group waits for that: RevokeTimeout,
	// CommitTimeout and the client's HeartbeatInterval (3 s unless Options change
	// it) together must be less than its RebalanceTimeout (1 minute). Another member
	// delivers the events that have no receipt by then again. Default: 10 s;
	// stage.None does not wait.
	RevokeTimeout time.Duration
	// FinishReadAhead makes a drain wait for all events that were emitted, as long as they
	// need. Default: false, what was read ahead is left for the next member, as when a
	// partition is revoked; see the package comment, section Rebalancing.
	FinishReadAhead bool
	// CloseTimeout bounds the end: the last commit and leaving the group.
	// Default: 4 s, less than the 5 s that a pipeline gives a stopped stage.
	CloseTimeout time.Duration
	// SessionTimeout is how long the group waits for a member that does not report, before
	// it gives its partitions to others; members report three times as often, every 3 s at
	// least. 1 s to 5 minutes; a broker refuses less than its group.min.session.timeout.ms,
	// which is 6 s unless changed. Default: 45 s. kgo.SessionTimeout in Options is used
	// instead.
	SessionTimeout time.Duration
	// StartTimeout makes the stage's start wait until a broker responds, and
	// fail if none does in this time. Default: 0, the start does not wait, and
	// brokers are tried without end.
	StartTimeout time.Duration

	// FetchMaxBytes bounds a broker's response and FetchMaxPartitionBytes a
	// partition's share of it, in compressed bytes. Default: 2 MiB and 1 MiB.
	FetchMaxBytes, FetchMaxPartitionBytes int32
	// FetchMaxUnpackedBytes bounds what a broker's response unpacks to, if it is
	// compressed, in bytes of records in memory: the rest of it is fetched again
	// later. One batch may exceed it, up to 64 MiB. Default: 24 MiB. See the package
	// comment for what the producer has in memory at most.
	FetchMaxUnpackedBytes int

	// Options are added to the client's: TLS, SASL, a dialer, the group's
	// balancer and timeouts. Commits, rebalance callbacks and the fields of
	// this config are set after them.
	Options []kgo.Opt

	// Metrics gets the counters kafka.records, kafka.poison, kafka.abandoned,
	// kafka.unreadable, kafka.commits, kafka.commit_errors and kafka.errors, the
	// gauges kafka.partitions and kafka.unfinished with the group and the stage as tags,
	// kafka.lag with the group, the topic and the partition, and with DeadLetters
	// those of a deadletter.Writer. Nil records nothing.
	Metrics metrics.Recorder
	// Logger gets the events that an operator needs. Default: slog.Default.
	Logger *slog.Logger
}

func (c Config[T]) withDefaults() Config[T] {
	c.Limits = c.Limits.withDefaults()
	option.Default(&c.Window, 10_000)
	option.Default(&c.CommitInterval, time.Second)
	option.Default(&c.CommitTimeout, 3*time.Second)
	option.Default(&c.RevokeTimeout, 10*time.Second)
	if c.RevokeTimeout == stage.None {
		c.RevokeTimeout = 0
	}
	option.Default(&c.CloseTimeout, 4*time.Second)
	option.Default(&c.SessionTimeout, 45*time.Second)
	option.Default(&c.FetchMaxBytes, 2<<20)
	option.Default(&c.FetchMaxPartitionBytes, 1<<20)
	option.Default(&c.FetchMaxUnpackedBytes, 24<<20)
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// validate is called with the defaults filled in.
func (c *Config[T]) validate() error {
	owner := option.Owner("kafka.Producer")
	refuse := owner.Refuse
	within := func(d, low, high time.Duration) bool { return d >= low && d <= high }
	switch {
	case len(c.Brokers) == 0:
		return refuse("Brokers", c.Brokers, "one or more of host:port")
	case len(c.Topics) == 0 && len(c.TopicPatterns) == 0:
		return refuse("Topics", c.Topics, "one or more names")
	case c.Group == "":
		return refuse("Group", c.Group, "a name")
	case c.Decode == nil:
		return refuse("Decode", nil, "a function")
	case c.Limits.Headers < 0 || c.Limits.KeyBytes < 0 || c.Limits.HeaderBytes < 0 || c.Limits.ValueBytes < 0:
		return refuse("Limits", c.Limits, "0 for the default, or 1 or more")
	case c.Start > Newest:
		return refuse("Start", c.Start, "Oldest or Newest")
	case c.Reset > Newest:
		return refuse("Reset", c.Reset, "Oldest or Newest")
	case c.Window < 1 || c.Window > 1_000_000:
		return refuse("Window", c.Window, "1 to 1,000,000, or 0 for the default")
	case !within(c.CommitInterval, 10*time.Millisecond, time.Minute):
		return refuse("CommitInterval", c.CommitInterval, "10ms to 1m, or 0 for the default")
	case !within(c.CommitTimeout, 100*time.Millisecond, time.Minute):
		return refuse("CommitTimeout", c.CommitTimeout, "100ms to 1m, or 0 for the default")
	case !within(c.RevokeTimeout, 0, 50*time.Second):
		return refuse("RevokeTimeout", c.RevokeTimeout, "up to 50s, 0 for the default, or stage.None")
	case !within(c.CloseTimeout, 10*time.Millisecond, time.Minute):
		return refuse("CloseTimeout", c.CloseTimeout, "10ms to 1m, or 0 for the default")
	case c.BadBatches > StopPartition:
		return refuse("BadBatches", c.BadBatches, "SkipBatches or StopPartition")
	case !within(c.SessionTimeout, time.Second, 5*time.Minute):
		return refuse("SessionTimeout", c.SessionTimeout, "1s to 5m, or 0 for the default")
	case c.StartTimeout < 0:
		return refuse("StartTimeout", c.StartTimeout, "0 or more")
	case c.FetchMaxPartitionBytes < 1:
		return refuse("FetchMaxPartitionBytes", c.FetchMaxPartitionBytes, "1 or more, or 0 for the default")
	case c.FetchMaxUnpackedBytes < 1:
		return refuse("FetchMaxUnpackedBytes", c.FetchMaxUnpackedBytes, "1 or more, or 0 for the default")
	case c.FetchMaxBytes < c.FetchMaxPartitionBytes:
		return refuse("FetchMaxBytes", c.FetchMaxBytes, "FetchMaxPartitionBytes or more")
	}
	if err := option.First(c.validateReading(owner), owner.Recorder(c.Metrics), owner.Optional("DeadLetters", c.DeadLetters, "a sink"), checkOptions(owner, c.Options)); err != nil {
		return err
	}
	// What the client would refuse at the start, such as a session that is shorter than the
	// time between two heartbeats.
	if err := kgo.ValidateOpts(c.options(nil)...); err != nil {
		return refuse("Options", err.Error(), "what the client accepts, together with the fields; a session timeout is best set by SessionTimeout")
	}
	return checkGroup(owner, c.options(nil), c.RevokeTimeout, c.CommitTimeout)
}

// checkOptions refuses options that the client cannot be given.
func checkOptions(owner option.Owner, opts []kgo.Opt) error {
	for i, opt := range opts {
		if err := owner.Needs(fmt.Sprintf("Options[%d]", i), opt, "an option"); err != nil {
			return err
		}
	}
	return nil
}

// fetchMaxWait is how long a broker waits for records before it replies that there are
// none.
const fetchMaxWait = 250 * time.Millisecond

// maxDecompressed bounds the size of one compressed batch in memory.
const maxDecompressed = 64 << 20

// options are the client's. One fetch for each broker is kept rather than one
// in all: with several brokers a single one would wait at an idle broker while
// another has records.
//
// u, unless it is nil, is the client's hook, and its decompressor if Options have none.
func (c *Config[T]) options(u *unpacking) []kgo.Opt {
	// A partition that is resumed, or new at a broker, waits for a fetch of the others.
	early := []kgo.Opt{
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(min(3*time.Second, c.SessionTimeout/3)),
	}
	if u != nil {
		early = append(early, kgo.WithDecompressor(u), kgo.WithHooks(u))
	}
	return append(slices.Concat(early, c.preferences(), c.Options, c.reading()),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ConsumerGroup(c.Group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		// The client would repeat a fetch in which one partition of several fails without a
		// pause; isolate keeps the partition out of fetches instead.
		kgo.KeepRetryableFetchErrors(),
		kgo.FetchMaxBytes(c.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(c.FetchMaxPartitionBytes),
		kgo.MaxDecompressBatchBytes(maxDecompressed),
	)
}
