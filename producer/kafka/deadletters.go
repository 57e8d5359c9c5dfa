package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/internal/option"
)

// The headers of a dead letter's record. Those whose value would be empty are left out.
const (
	headerPipeline    = "dead-letter-pipeline"
	headerStage       = "dead-letter-stage"
	headerError       = "dead-letter-error"
	headerEncodeError = "dead-letter-encode-error"
	headerAttempts    = "dead-letter-attempts"
	headerFirst       = "dead-letter-first" // RFC 3339
	headerLast        = "dead-letter-last"
	headerSource      = "dead-letter-source"
)

// maxHeaderText bounds the text of an error in a header, in bytes, so that a record stays
// within the limits of its readers.
const maxHeaderText = 16 << 10

// DeadLetters is a deadletter.Sink that writes letters to a topic. The value of a record is
// the event as it was encoded and its key the letter's, so that a record can be read, or
// moved, like one of the topic that the event came from. Headers say why it is here:
// dead-letter-pipeline, -stage, -error, -attempts, -first, -last and -source.
//
// Write returns nil when all in-sync replicas have every record. All methods may be
// called from any goroutine.
//
// The topic should allow records as large as the source's, plus 64 KiB. Of one that is
// larger than it allows the letter is written without the event: dead-letter-encode-error
// says so, and dead-letter-source where the event is.
type DeadLetters struct{ writer *Writer }

// NewDeadLetters makes a sink. It does not wait for a broker; the only errors are those of
// the config, each an [*OptionError], and of Options.
func NewDeadLetters(cfg WriterConfig) (*DeadLetters, error) {
	// Records may be larger than the client's default of 1 MB; the topic decides.
	cfg.Options = append([]kgo.Opt{kgo.ProducerBatchMaxBytes(maxLetterBytes)}, cfg.Options...)
	w, err := newWriter(option.Owner("kafka.DeadLetters"), cfg)
	if err != nil {
		return nil, err
	}
	return &DeadLetters{writer: w}, nil
}

// Write implements deadletter.Sink.
func (d *DeadLetters) Write(ctx context.Context, letters []deadletter.Letter) error {
	records := make([]*kgo.Record, len(letters))
	for i := range letters {
		records[i] = letterRecord(letters[i])
	}
	err := d.writer.Write(ctx, records...)
	if !errors.Is(err, kerr.MessageTooLarge) {
		return err
	}
	// One of them is too large for the topic. The others are written again, each alone, which
	// may store some twice; of that one the reason is kept, and where it is.
	for i, r := range records {
		r = letterRecord(letters[i])
		if err = d.writer.Write(ctx, r); errors.Is(err, kerr.MessageTooLarge) {
			err = d.writer.Write(ctx, withoutValue(letters[i], r))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutValue returns a letter's record with a reason in the place of its value.
func withoutValue(l deadletter.Letter, r *kgo.Record) *kgo.Record {
	l.EncodeError = fmt.Sprintf("the event has %d bytes, more than the topic of dead letters allows", len(r.Value))
	l.Event, l.Binary, l.Key = nil, false, cut(l.Key)
	return letterRecord(l)
}

// maxLetterBytes bounds a batch of letters, and so a letter.
const maxLetterBytes = 64 << 20

// Close waits until nothing is being written or ctx is done, and ends the sink.
func (d *DeadLetters) Close(ctx context.Context) error { return d.writer.Close(ctx) }

// letterRecord returns a letter's record.
func letterRecord(l deadletter.Letter) *kgo.Record {
	l = withPast(l)
	r := &kgo.Record{}
	value, err := l.Bytes()
	if err != nil {
		// No letter may stop those behind it.
		value, l.EncodeError = l.Event, err.Error()
	}
	r.Value = value
	if l.Key != "" {
		r.Key = []byte(l.Key)
	}
	add := func(key, value string) {
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(cut(value))})
		}
	}
	add(headerPipeline, l.Pipeline)
	add(headerStage, l.Stage)
	add(headerError, l.Error)
	add(headerEncodeError, l.EncodeError)
	add(headerAttempts, strconv.Itoa(l.Attempts))
	add(headerFirst, stamp(l.First))
	add(headerLast, stamp(l.Last))
	add(headerSource, l.Source)
	if l.Trace.IsValid() {
		SetTraceContext(r, l.Trace)
	}
	return r
}

// cut returns as much of a text as a header may have, in whole characters.
func cut(text string) string {
	if len(text) <= maxHeaderText {
		return text
	}
	end := maxHeaderText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// stamp returns a time as a header has it.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339Nano)
}

// LetterOf returns the letter of a record that [DeadLetters] has written. For any other
// record it is one with the record as its event and without an error.
func LetterOf(r *kgo.Record) deadletter.Letter {
	l := deadletter.Letter{Key: string(r.Key), Trace: TraceContext(r)}
	l.SetBytes(r.Value)
	for _, h := range r.Headers {
		value := string(h.Value)
		switch h.Key {
		case headerPipeline:
			l.Pipeline = value
		case headerStage:
			l.Stage = value
		case headerError:
			l.Error = value
		case headerEncodeError:
			l.EncodeError = value
		case headerSource:
			l.Source = value
		case headerAttempts:
			l.Attempts, _ = strconv.Atoi(value) // 0 if it is none
		case headerFirst:
			l.First, _ = time.Parse(time.RFC3339Nano, value)
		case headerLast:
			l.Last, _ = time.Parse(time.RFC3339Nano, value)
		}
	}
	return l
}

// PositionOf returns where a record is, such as "pushes/3@1042". It is what an event made
// of the record returns as a deadletter.Positioner.
func PositionOf(r *kgo.Record) string {
	return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
}
