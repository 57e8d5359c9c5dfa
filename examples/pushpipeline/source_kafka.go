package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/producer/kafka"
	"github.com/penstock-go/penstock/producer/kafka/embeddedkafka"
	"github.com/penstock-go/penstock/stage"
)

// The headers of a record that was written by this program. A record without
// them is a push all the same: its value is what POST /push takes.
const (
	headerOrigin = "origin"
	headerSeq    = "seq"
	headerAt     = "at" // unix nanoseconds
)

// maxUnconfirmed bounds the pushes that wait for the broker's acknowledgement.
const maxUnconfirmed = 20_000

// kafkaSource keeps pushes in Kafka: what was confirmed survives this process.
type kafkaSource struct {
	broker *embeddedkafka.Broker // nil with -brokers
	// The reading side is a stage of the pipeline; the writing side is used by enter.
	producer *kafka.Producer[push]
	writer   *kafka.Writer
	seq      *sequencer
	ledger   *ledger
	log      *slog.Logger
	// Records whose time cannot be true.
	skewed metrics.Counter

	confirmed atomic.Int64 // pushes of this process that the broker has
	ingested  atomic.Int64 // pushes of this process that it has read again
}

// newKafkaSource connects to the brokers, or starts one, and makes sure that
// the topic exists.
func newKafkaSource(ctx context.Context, cfg config, origin string, l *ledger, log *slog.Logger) (_ *kafkaSource, err error) {
	k := &kafkaSource{seq: newSequencer(origin), ledger: l, log: log, skewed: l.recorder.Counter("pipeline.clock_skew")}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	brokers := strings.Split(cfg.Brokers, ",")
	if cfg.Brokers == "" {
		if k.broker, err = embeddedkafka.Start(embeddedkafka.Config{}); err != nil {
			return nil, err
		}
		brokers = k.broker.Addrs()
		log.Info("no -brokers: a Kafka broker runs inside this process and forgets everything at its end", "address", strings.Join(brokers, ","))
	}
	if err = createTopic(ctx, brokers, cfg.Topic, int32(cfg.Parts)); err != nil {
		return nil, err
	}
	if k.writer, err = kafka.NewWriter(kafka.WriterConfig{Brokers: brokers, Topic: cfg.Topic, MaxBuffered: maxUnconfirmed}); err != nil {
		return nil, err
	}
	var options []kgo.Opt
	// A static member: its partitions are kept for it while it starts again.
	if cfg.Member != "" {
		options = append(options, kgo.InstanceID(cfg.Member))
	}
	k.producer, err = kafka.NewProducer(kafka.Config[push]{
		Brokers: brokers, Topics: []string{cfg.Topic}, Group: cfg.Group, Decode: k.decode,
		OnPoison: func(r *kgo.Record, err error) {
			// Counted as taken in too, so that the account adds up.
			l.enqueued.Add(1)
			l.discard("poison")
			log.Warn("a record is no push", "partition", r.Partition, "offset", r.Offset, "error", err)
		},
		CommitInterval: cfg.Commit,
		Options:        append(options, kgo.SessionTimeout(cfg.Session)), Metrics: l.recorder, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// createTopic makes the topic if it is not there. It tries for 15 s if no broker
// responds.
func createTopic(ctx context.Context, brokers []string, topic string, partitions int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("-brokers: %w", err)
	}
	// Only for this: the producer and the writer have clients of their own.
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	// The replication factor -1 is the broker's default.
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, -1, nil, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("-brokers %s: topic %s: %w", strings.Join(brokers, ","), topic, err)
	}
	return nil
}

// handler implements source.
func (k *kafkaSource) handler() stage.Producer[push] { return k.producer }

// enter implements source. It stamps and writes under the sequencer's lock, so
// that the order of the numbers is the order in Kafka.
func (k *kafkaSource) enter(pushes []push, done func(error)) error {
	now := time.Now()
	k.seq.mu.Lock()
	defer k.seq.mu.Unlock()
	// No other code writes, and the lock is held: the room that is there now is
	// still there when the last push is written.
	if k.writer.Buffered()+len(pushes) > maxUnconfirmed {
		// Nothing has been stamped, so that no number is missing.
		return errFull
	}
	k.seq.stamp(pushes, now)
	for _, p := range pushes {
		k.writer.TryWrite(k.encode(p), func(err error) {
			// It runs in a goroutine of the Kafka client. A push that was not
			// confirmed was never taken in: its caller gets the error.
			if err == nil {
				k.confirmed.Add(1)
				k.ledger.enqueued.Add(1)
			}
			done(err)
		})
	}
	return nil
}

// encode makes a record of a push. Records of a user have the same key, so that
// they keep their order on one partition.
func (k *kafkaSource) encode(p push) *kgo.Record {
	value, err := json.Marshal(struct {
		UserID string          `json:"user_id"`
		Data   json.RawMessage `json:"data"`
	}{p.User, p.Data})
	if err != nil {
		panic(err) // both were checked when the push was parsed
	}
	return &kgo.Record{Key: []byte(p.User), Value: value, Headers: []kgo.RecordHeader{
		{Key: headerOrigin, Value: []byte(p.Origin)},
		{Key: headerSeq, Value: strconv.AppendUint(nil, p.Seq, 10)},
		{Key: headerAt, Value: strconv.AppendInt(nil, p.At.UnixNano(), 10)},
	}}
}

// decode makes a push of a record, in the goroutine that fetches. An error makes
// the record poison.
func (k *kafkaSource) decode(r *kgo.Record) (push, error) {
	// The same checks as over HTTP, since any program can write to the topic.
	p, err := parsePush(r.Value, -1)
	if err != nil {
		return p, err
	}
	k.stamp(&p, r)
	// Its own pushes were counted when the broker confirmed them.
	if p.Origin == k.seq.origin {
		k.ingested.Add(1)
	} else {
		k.ledger.enqueued.Add(1) // of another process, or of an earlier run
	}
	return p, nil
}

// stamp reads what the headers say. They are not trusted: a time that cannot
// be is counted and taken for now.
func (k *kafkaSource) stamp(p *push, r *kgo.Record) {
	now := time.Now()
	// A record of another program has its partition as origin and its offset as
	// number, which both keep the order.
	p.At, p.Origin, p.Seq = r.Timestamp, fmt.Sprintf("%s-%d", r.Topic, r.Partition), uint64(r.Offset)+1
	var origin string
	var seq uint64
	var at int64
	for _, h := range r.Headers {
		switch h.Key {
		case headerOrigin:
			origin = string(h.Value)
		case headerSeq:
			seq, _ = strconv.ParseUint(string(h.Value), 10, 64)
		case headerAt:
			at, _ = strconv.ParseInt(string(h.Value), 10, 64)
		}
	}
	// Both or none: a number without its origin orders nothing.
	if origin != "" && len(origin) <= maxUserID && seq > 0 {
		p.Origin, p.Seq = origin, seq
	}
	if at > 0 {
		// Checked below, as is the time of the record.
		p.At = time.Unix(0, at)
	}
	var skewed bool
	if p.At, skewed = kafka.ProducedAt(&kgo.Record{Timestamp: p.At}, now); skewed {
		k.skewed.Add(1)
	}
}

// waiting counts what was written and not read, and what was read and not passed on.
func (k *kafkaSource) waiting() int {
	return int(max(0, k.confirmed.Load()-k.ingested.Load())) + k.producer.Snapshot().Ready
}

// refuse waits until all that was confirmed has reached the pipeline. What another
// member of the group reads never does: after two seconds without progress it is
// left in Kafka.
func (k *kafkaSource) refuse(ctx context.Context) error {
	const still = 2 * time.Second
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	// -1 differs from every count, so that the first look counts as progress.
	last, moved := -1, time.Now()
	for {
		// On the way to the broker, and from there to the pipeline.
		n := k.writer.Buffered() + k.waiting()
		if n == 0 {
			return nil
		}
		if n != last {
			last, moved = n, time.Now()
		}
		// Not an error: the pushes are safe in Kafka for another member or a later run.
		if time.Since(moved) > still {
			k.log.Warn("pushes are left in Kafka", "count", n)
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
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
	if k.broker != nil {
		k.broker.Close()
	}
}
