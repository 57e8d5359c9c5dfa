package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// maxUnconfirmed bounds the pushes that wait for the broker's acknowledgement.
const maxUnconfirmed = 20_000

// unconfirmedTimeout is how long the writer tries to have a push acknowledged.
const unconfirmedTimeout = 10 * time.Second

// kafkaSource keeps pushes in Kafka: what was confirmed survives this process.
type kafkaSource struct {
	broker *embeddedkafka.Broker // nil with -brokers
	small  bool                  // it keeps little, so that room counts what was not read
	topic  topic
	group  string
	health *health
	// The reading side is a stage of the pipeline; the writing side is used by enter.
	producer *kafka.Producer[push]
	writer   *kafka.Writer
	seq      *sequencer
	room     *room // of pushes without an acknowledgement; without -brokers, of unread ones
	places   *places
	ledger   *ledger
	log      *slog.Logger
	// Records whose time cannot be true.
	skewed metrics.Counter

	origin   atomic.Pointer[string] // of the record that was read last
	still    time.Duration          // without progress, after which refuse waits no longer
	left     atomic.Int64           // the backlog at the end; -1 before
	poison   atomic.Int64           // records that are no push
	poisoned logLimit               // owned by the goroutine that polls
}

// newKafkaSource makes what talks to the brokers, or starts one. It does not wait for
// them: see prepare.
func newKafkaSource(cfg config, origin string, l *ledger, log *slog.Logger) (_ *kafkaSource, err error) {
	k := &kafkaSource{
		seq: newSequencer(origin), places: newPlaces(cfg.window(), cfg.bufferBytes()/int64(cfg.Parts)), ledger: l, log: log,
		skewed: l.recorder.Counter("pipeline.clock_skew"),
		still:  min(max(cfg.Drain/10, 500*time.Millisecond), 2*time.Second),
		room:   newRoom(roomLimits{pushes: maxUnconfirmed, bytes: cfg.bufferBytes(), userPushes: noLimit, userBytes: noLimit}),
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	k.left.Store(-1)
	brokers := strings.Split(cfg.Brokers, ",")
	k.group, k.topic = cfg.Group, topic{name: cfg.Topic, partitions: int32(cfg.Parts)}
	if cfg.Brokers == "" {
		if k.broker, err = embeddedkafka.Start(embeddedkafka.Config{Options: []kfake.Opt{brokerConfigs}}); err != nil {
			return nil, err
		}
		brokers = k.broker.Addrs()
		// The runs of -fairness are short, and compare what becomes of a flood.
		if k.small = !cfg.Fairness; k.small {
			k.boundBroker(cfg)
		}
		log.Info("no -brokers: a Kafka broker runs inside this process and forgets everything at its end", "address", strings.Join(brokers, ","))
	}
	if k.health, err = newHealth(brokers); err != nil {
		return nil, fmt.Errorf("-brokers: %w", err)
	}
	k.writer, err = kafka.NewWriter(kafka.WriterConfig{
		Brokers: brokers, Topic: cfg.Topic, MaxBuffered: maxUnconfirmed, Linger: cfg.Linger, Timeout: unconfirmedTimeout,
	})
	if err != nil {
		return nil, err
	}
	var options []kgo.Opt
	// A static member: its partitions are kept for it while it starts again.
	if cfg.Member != "" {
		options = append(options, kgo.InstanceID(cfg.Member))
	}
	k.producer, err = kafka.NewProducer(kafka.Config[push]{
		Brokers: brokers, Topics: []string{cfg.Topic}, Group: cfg.Group, Decode: k.decode,
		OnPoison: k.refuseRecord, CommitInterval: cfg.Commit, Window: cfg.window(),
		FinishReadAhead: true, // the users' clients are connected to this process
		Options:         options, SessionTimeout: cfg.Session, Metrics: l.recorder, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// boundBroker bounds what the broker of this process keeps, and what waits in it.
func (k *kafkaSource) boundBroker(cfg config) {
	k.topic.retention = cfg.retentionBytes()
	// What the broker drops first must have been read, whichever partition has it. A
	// user whose pushes are not read fills an eighth, and leaves the rest to others.
	k.room.limits.bytes = min(k.room.limits.bytes, k.topic.retention/2)
	k.room.limits.userPushes, k.room.limits.userBytes = maxUnconfirmed/8, k.room.limits.bytes/8
}

// prepare implements source.
func (k *kafkaSource) prepare(ctx context.Context) error {
	return k.health.prepare(ctx, k.topic, k.log, k.learn)
}

// ready implements source: the brokers respond, and the reading side reads, once it has
// begun. Pushes are taken in while only the latter fails.
func (k *kafkaSource) ready() error {
	if err := k.health.away(); err != nil {
		return err
	}
	return k.producer.Ready()
}

// handler implements source.
func (k *kafkaSource) handler() stage.Producer[push] { return k.producer }

// capacity implements source.
func (k *kafkaSource) capacity() int { return k.room.limits.pushes }

// enter implements source. It stamps and writes under the sequencer's lock, so
// that the order of the numbers is the order in Kafka.
func (k *kafkaSource) enter(pushes []push, done func(error)) error {
	if k.health.away() != nil {
		return errAway // no caller waits for a broker that is known to be away
	}
	now := time.Now()
	k.seq.mu.Lock()
	defer k.seq.mu.Unlock()
	// Before the numbers, so that none is missing. The writer has as much room as this.
	if err := k.room.take(pushes); err != nil {
		return err
	}
	k.seq.stamp(pushes, now)
	for _, p := range pushes {
		o := &outgoing{push: p, source: k, done: done}
		o.encode()
		k.writer.TryWrite(&o.record, o.confirmed)
	}
	return nil
}

// crowded implements source.
func (k *kafkaSource) crowded(p push) bool { return k.places.crowded(p.place) }

// ended implements source: what has a receipt is finished for the reading side
// already.
func (k *kafkaSource) ended(push) {}

// account implements source. Taken in is what was read from Kafka and has reached the
// pipeline or will next. What a lost partition takes back before that is not counted,
// since the group delivers it again; a push that is read twice counts twice.
func (k *kafkaSource) account(emitted int64) (enqueued int64, waiting int) {
	waiting = k.producer.Snapshot().Ready
	return emitted + int64(waiting) + k.poison.Load(), waiting
}

// backlog implements source. Once nothing is taken in any more it does not change.
func (k *kafkaSource) backlog() int {
	if n := k.left.Load(); n >= 0 {
		return int(n)
	}
	return int(k.places.unread(k.producer.Snapshot().Partitions))
}

// learn finds out what other members of the group have finished of what this process
// has written. What it cannot find out now it tries again later.
func (k *kafkaSource) learn(ctx context.Context) {
	if k.backlog() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	committed, err := kadm.NewClient(k.health.client).FetchOffsets(ctx, k.group)
	if err != nil {
		return
	}
	committed.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.Topic == k.topic.name && o.At > 0 {
			k.places.read(o.Partition, o.At-1)
			k.places.finish(o.Partition, o.At)
		}
	})
}

// refuseRecord counts a record that is no push, in the goroutine that polls.
func (k *kafkaSource) refuseRecord(r *kgo.Record, err error) {
	// Counted as taken in too, so that the account adds up.
	k.poison.Add(1)
	k.ledger.discard("poison")
	if more, ok := k.poisoned.allow(time.Now()); ok {
		k.log.Warn("a record is no push", "partition", r.Partition, "offset", r.Offset, "error", err, "unlogged", more)
	}
}

// refuse waits until all that was confirmed has reached the pipeline. After some time
// without progress it is left in Kafka: another member may have the partition, or a
// client that takes nothing holds up what follows.
func (k *kafkaSource) refuse(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	// The partitions go back to the group with the end of the pipeline.
	defer func() { k.left.Store(int64(k.backlog())) }()
	// -1 differs from every count, so that the first look counts as progress.
	last, moved := -1, time.Now()
	for {
		// On the way to the broker, from there to this process, and to the pipeline: looked at
		// in the order of the way, so that a push that moves on meanwhile is not missed.
		n := k.writer.Buffered() + k.backlog()
		_, waiting := k.account(0)
		n += waiting
		if n == 0 {
			return nil
		}
		if n != last {
			last, moved = n, time.Now()
		}
		// Not an error: the pushes are safe in Kafka for another member or a later run.
		if time.Since(moved) > k.still {
			k.log.Warn("pushes are left in Kafka", "count", n, "embedded", k.broker != nil)
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if k.broker == nil {
				k.log.Warn("pushes are left in Kafka", "count", n, "embedded", false)
				return nil
			}
			return fmt.Errorf("%d pushes are left in Kafka: %w", n, context.Cause(ctx))
		}
	}
}

// close implements source. The reading side belongs to the pipeline, which ends it.
func (k *kafkaSource) close() {
	if k.writer != nil {
		// The pushes that are not confirmed by then fail, and their callers are
		// told.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := k.writer.Close(ctx); err != nil {
			k.log.Warn("closing the writer", "error", err)
		}
	}
	if k.health != nil {
		k.health.close()
	}
	if k.broker != nil {
		k.broker.Close()
	}
}
