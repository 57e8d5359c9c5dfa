package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/internal/option"
)

// NoLinger is the Linger of a writer that sends each record at once.
const NoLinger time.Duration = 1

// WriterConfig configures [NewWriter] and [NewDeadLetters]. Brokers and Topic are required.
type WriterConfig struct {
	// Brokers are host:port of some of the cluster's brokers.
	Brokers []string
	// Topic is the topic of records that name none.
	Topic string
	// MaxBuffered bounds the number of records that wait for their
	// acknowledgement; beyond it Write waits for room. 1 or more. Default:
	// 10,000.
	MaxBuffered int
	// Timeout bounds how long a record is retried, 1 s or more. Default: 10 s.
	Timeout time.Duration
	// Linger is how long a record waits for others, which then share its
	// request, up to 1 s. Default: 1 ms. NoLinger sends at once.
	Linger time.Duration
	// Options are added to the client's: TLS, SASL, a dialer, compression.
	Options []kgo.Opt
}

// Writer writes records and waits until the brokers have acknowledged them:
// all in-sync replicas, idempotently, so that a retry is no duplicate. Records
// with the same key keep their order on one partition if they are written one
// after the other. All methods may be called from any goroutine.
//
// A topic that was deleted and made again is written on: what was on its way to the old one
// is written to the new one by Write, and fails in TryWrite.
type Writer struct {
	client  *kgo.Client
	timeout time.Duration

	mu       sync.Mutex // guards the rest
	renewing map[string]bool
	renewals sync.WaitGroup // a goroutine for each topic that is being renewed
}

// NewWriter makes a writer. It does not wait for a broker; the only errors are
// those of the config, each an [*OptionError], and of Options.
func NewWriter(cfg WriterConfig) (*Writer, error) {
	return newWriter(option.Owner("kafka.Writer"), cfg)
}

// newWriter makes a writer; refused options have the name of owner.
func newWriter(owner option.Owner, cfg WriterConfig) (*Writer, error) {
	option.Default(&cfg.MaxBuffered, 10_000)
	option.Default(&cfg.Timeout, 10*time.Second)
	option.Default(&cfg.Linger, time.Millisecond)
	if cfg.Linger == NoLinger {
		cfg.Linger = 0
	}
	if err := cfg.validate(owner); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.DefaultProduceTopic(cfg.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MaxBufferedRecords(cfg.MaxBuffered),
		kgo.RecordDeliveryTimeout(cfg.Timeout),
		kgo.ProducerLinger(cfg.Linger),
	}, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: writer: %w", err)
	}
	return &Writer{client: client, timeout: cfg.Timeout, renewing: map[string]bool{}}, nil
}

// Write writes records and blocks until all of them are acknowledged, have
// failed, or ctx is done. nil means that all are durable. After an error some may
// be durable, or may still become so. Records without a trace context get that of ctx.
func (w *Writer) Write(ctx context.Context, records ...*kgo.Record) error {
	carryOn(ctx, records)
	deadline := time.Now().Add(w.timeout)
	var pause backOff
	for {
		results := w.client.ProduceSync(ctx, records...)
		err := results.FirstErr()
		if err == nil {
			return nil
		}
		// Records come back in any order; what is written again keeps that of records.
		again := map[*kgo.Record]bool{}
		for _, r := range results {
			if isRemade(r.Err) {
				again[r.Record] = true
				err = r.Err
			}
		}
		if len(again) == 0 || time.Now().After(deadline) {
			return fmt.Errorf("kafka: write: %w", err)
		}
		failed := results.FirstErr()
		for _, r := range results {
			if r.Err != nil && !again[r.Record] {
				return fmt.Errorf("kafka: write: %w", failed)
			}
		}
		w.renewTopics(again)
		records = slices.DeleteFunc(slices.Clone(records), func(r *kgo.Record) bool { return !again[r] })
		if !pause.wait(ctx) {
			return fmt.Errorf("kafka: write: %w", context.Cause(ctx))
		}
	}
}

// isRemade reports whether an error says that a topic has another id than the client knows.
// The client never takes up the new one by itself.
func isRemade(err error) bool { return errors.Is(err, kerr.UnknownTopicID) }

// renewTopics has the client forget the topics of records, and waits for that.
func (w *Writer) renewTopics(records map[*kgo.Record]bool) {
	topics := map[string]bool{}
	for r := range records {
		topics[r.Topic] = true
	}
	for topic := range topics {
		w.client.PurgeTopicsFromProducing(topic)
	}
}

// renewLater has the client forget a topic, on a goroutine of its own, which Close waits
// for.
func (w *Writer) renewLater(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.renewing == nil || w.renewing[topic] {
		return
	}
	w.renewing[topic] = true
	w.renewals.Go(func() {
		w.client.PurgeTopicsFromProducing(topic)
		w.mu.Lock()
		delete(w.renewing, topic)
		w.mu.Unlock()
	})
}

// Close waits until all buffered records are acknowledged or ctx is done, and ends
// the writer.
func (w *Writer) Close(ctx context.Context) error {
	err := w.client.Flush(ctx)
	w.mu.Lock()
	w.renewing = nil // no more of them
	w.mu.Unlock()
	w.client.Close()
	w.renewals.Wait()
	if err != nil {
		return fmt.Errorf("kafka: close: %w", err)
	}
	return nil
}

// validate is called with the defaults filled in.
func (c *WriterConfig) validate(owner option.Owner) error {
	refuse := owner.Refuse
	switch {
	case len(c.Brokers) == 0:
		return refuse("Brokers", c.Brokers, "one or more of host:port")
	case c.Topic == "":
		return refuse("Topic", "", "a name")
	case c.MaxBuffered < 1:
		return refuse("MaxBuffered", c.MaxBuffered, "1 or more, or 0 for the default")
	case c.Timeout < time.Second:
		return refuse("Timeout", c.Timeout, "1s or more, or 0 for the default")
	case c.Linger < 0 || c.Linger > time.Second:
		return refuse("Linger", c.Linger, "up to 1s, 0 for the default, or NoLinger")
	}
	return checkOptions(owner, c.Options)
}
