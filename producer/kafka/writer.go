package kafka

import (
	"context"
	"fmt"
	"time"

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
type Writer struct{ client *kgo.Client }

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
	return &Writer{client: client}, nil
}

// Write writes records and blocks until all of them are acknowledged, have
// failed, or ctx is done. nil means that all are durable. After an error some may
// be durable, or may still become so.
func (w *Writer) Write(ctx context.Context, records ...*kgo.Record) error {
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("kafka: write: %w", err)
	}
	return nil
}

// Close waits until all buffered records are acknowledged or ctx is done, and ends
// the writer.
func (w *Writer) Close(ctx context.Context) error {
	err := w.client.Flush(ctx)
	w.client.Close()
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
