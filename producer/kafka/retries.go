package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
)

// headerRound is how often a record of a topic of retries has been there.
const headerRound = "dead-letter-round"

// RetriesConfig configures [NewRetries]. Brokers, Topics and DeadTopic are required.
type RetriesConfig struct {
	// Brokers are host:port of some of the cluster's brokers.
	Brokers []string
	// Topics are the topics of the rounds: an event that fails goes to the first one, one
	// that comes from there and fails again to the second one, and so on.
	Topics []string
	// DeadTopic is for the events that fail after the last round.
	DeadTopic string
	// Dead reports whether a letter goes to DeadTopic at once, since another round cannot
	// help. Default: none does.
	Dead func(letter deadletter.Letter) bool
	// Timeout bounds how long a record is retried, 1 s or more. Default: 10 s.
	Timeout time.Duration
	// Options are added to the client's: TLS, SASL, a dialer, compression.
	Options []kgo.Opt
}

// Retries is a deadletter.Sink that writes the events that have failed to topics, from
// which they come again after a pause, and after the last round to a topic of dead letters.
// The records are those of [DeadLetters]; for the rounds, Attempts, First and Source are
// those since the beginning, and the header dead-letter-round counts. An event has its
// receipt, and is committed, when its record is written.
//
// The topics of the rounds are read by a producer with Config.Delay: the pause of the
// round. The bytes of the letter must be what Decode takes, so that the step needs an
// Encode, and the event must have a [Trace], or it begins with the first round for ever.
//
// An event that waits for another round is passed by later ones of its key: where order
// matters, retry in the pipeline. All methods may be called from any goroutine.
type Retries struct {
	cfg    RetriesConfig
	writer *Writer
}

// NewRetries makes a sink. It does not wait for a broker; the only errors are those of the
// config, each an [*OptionError], and of Options.
func NewRetries(cfg RetriesConfig) (*Retries, error) {
	owner := option.Owner("kafka.Retries")
	if err := option.First(
		owner.Check(len(cfg.Topics) > 0, "Topics", cfg.Topics, "one or more names"),
		owner.Check(cfg.DeadTopic != "", "DeadTopic", cfg.DeadTopic, "a name"),
	); err != nil {
		return nil, err
	}
	for i, topic := range cfg.Topics {
		if topic == "" || topic == cfg.DeadTopic {
			return nil, owner.Refuse(fmt.Sprintf("Topics[%d]", i), topic, "a name other than DeadTopic")
		}
	}
	w, err := newWriter(owner, WriterConfig{Brokers: cfg.Brokers, Topic: cfg.DeadTopic, Timeout: cfg.Timeout, Options: cfg.Options})
	if err != nil {
		return nil, err
	}
	return &Retries{cfg: cfg, writer: w}, nil
}

// Write implements deadletter.Sink.
func (r *Retries) Write(ctx context.Context, letters []deadletter.Letter) error {
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		round := 0
		if l.Past != nil {
			round = l.Past.Round
		}
		records[i] = letterRecord(l)
		records[i].Topic = r.cfg.DeadTopic
		if round < len(r.cfg.Topics) && (r.cfg.Dead == nil || !r.cfg.Dead(l)) {
			records[i].Topic = r.cfg.Topics[round]
			round++
		}
		records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: headerRound, Value: strconv.AppendInt(nil, int64(round), 10)})
	}
	return r.writer.Write(ctx, records...)
}

// Close waits until nothing is being written or ctx is done, and ends the sink.
func (r *Retries) Close(ctx context.Context) error { return r.writer.Close(ctx) }

// Trace is where a record was, and what has become of it before. An event that embeds the
// Trace of its record has its position in its letters, and goes on with the round that is
// due when it comes from a topic of [Retries]. Its zero value is that of no record.
type Trace struct{ record *kgo.Record }

// TraceOf returns the trace of a record. It keeps the record in memory.
func TraceOf(r *kgo.Record) Trace { return Trace{r} }

// Record returns the record, nil for the zero value.
func (t Trace) Record() *kgo.Record { return t.record }

// Position implements deadletter.Positioner.
func (t Trace) Position() string {
	if t.record == nil {
		return ""
	}
	return PositionOf(t.record)
}

// Past implements deadletter.Historian.
func (t Trace) Past() deadletter.Past {
	if t.record == nil {
		return deadletter.Past{}
	}
	return pastOf(t.record)
}

// pastOf returns what the headers of a record say about earlier rounds.
func pastOf(r *kgo.Record) (past deadletter.Past) {
	for _, h := range r.Headers {
		if h.Key == headerRound {
			past.Round, _ = strconv.Atoi(string(h.Value))
		}
	}
	if past.Round <= 0 {
		return deadletter.Past{}
	}
	l := LetterOf(r)
	past.Attempts, past.First, past.Source = l.Attempts, l.First, l.Source
	return past
}

// withPast returns a letter with what its past adds.
func withPast(l deadletter.Letter) deadletter.Letter {
	if p := l.Past; p != nil {
		l.Attempts += p.Attempts
		if !p.First.IsZero() {
			l.First = p.First
		}
		if p.Source != "" {
			l.Source = p.Source
		}
	}
	return l
}
