package deadletter

import (
	"log/slog"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/retry"
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

// The defaults of a Writer.
const (
	DefaultMaxBatch     = 1000
	DefaultWriteTimeout = 30 * time.Second
)

// WriterConfig configures [NewWriter]. The zero value is useful.
type WriterConfig struct {
	// Stage names the owner, in the log and as a tag of the metrics. Default: "".
	Stage string
	// MaxBatch bounds the number of letters in one write, 1 or more. Default: 1000.
	MaxBatch int
	// Timeout bounds one write: its context is cancelled then, and a line is logged if it
	// has not returned after twice that. Default: 30 s.
	Timeout time.Duration
	// Backoff is the pause after the first failed write. It doubles with each further
	// one, up to MaxBackoff, and is up to a fifth shorter at random. An error marked with
	// retry.After or retry.Later makes it longer. Default: 100 ms; retry.NoPause makes no
	// pause.
	Backoff time.Duration
	// MaxBackoff bounds the pause. Default: 10 s, or Backoff if that is more.
	MaxBackoff time.Duration
	// Metrics gets the counters pipeline.dead_letters and pipeline.dead_letter_errors,
	// and the gauge pipeline.dead_letters_waiting. Nil records nothing.
	Metrics metrics.Recorder
	// Logger gets a line about failed writes, at most once a second, with the number of
	// letters that wait, one when letters are stored again, and one about letters that
	// were not stored at the end. Default: slog.Default.
	Logger *slog.Logger
}

// withDefaults returns c with its zero fields filled in.
func (c WriterConfig) withDefaults() WriterConfig {
	option.Default(&c.MaxBatch, DefaultMaxBatch)
	option.Default(&c.Timeout, DefaultWriteTimeout)
	option.Default(&c.Metrics, metrics.Nop())
	option.Logger(&c.Logger)
	return c
}

// policy returns the pauses between failed writes. Their number has no bound.
func (c WriterConfig) policy() retry.Policy {
	return retry.Policy{MaxAttempts: retry.Unlimited, Backoff: c.Backoff, MaxBackoff: c.MaxBackoff}
}

// validate is called with the defaults filled in.
func (c WriterConfig) validate(sink Sink) error {
	owner := option.Owner("deadletter.Writer")
	return option.First(
		owner.Needs("sink", sink, "a sink"),
		option.AtLeast(owner, "MaxBatch", c.MaxBatch, 1),
		option.AtLeast(owner, "Timeout", c.Timeout, 0),
		owner.Check(c.Backoff >= 0, "Backoff", c.Backoff, "NoPause or above, or 0 for the default"),
		owner.Check(c.MaxBackoff == 0 || c.MaxBackoff >= c.Backoff, "MaxBackoff", c.MaxBackoff, "Backoff or above, or 0 for the default"),
		owner.Recorder(c.Metrics),
	)
}

// meters record what becomes of letters.
type meters struct {
	stored  metrics.Counter
	errors  metrics.Counter
	waiting metrics.Gauge
}

// newMeters returns the instruments of a writer of the stage with that name.
func newMeters(r metrics.Recorder, stage string) meters {
	tag := metrics.Tag{Key: "stage", Value: stage}
	return meters{
		stored:  r.Counter("pipeline.dead_letters", tag),
		errors:  r.Counter("pipeline.dead_letter_errors", tag),
		waiting: r.Gauge("pipeline.dead_letters_waiting", tag),
	}
}

// end ends the instruments: the writer has ended.
func (m meters) end() {
	m.waiting.Set(0)
	metrics.End(m.stored, m.errors, m.waiting)
}
