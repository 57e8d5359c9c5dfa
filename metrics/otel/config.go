package otel

import (
	"log/slog"
	"regexp"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-go/penstock/internal/option"
)

// Config configures a [Recorder]. Provider is required.
type Config struct {
	// Provider makes the meter. It is required.
	Provider metric.MeterProvider

	// Prefix goes before each name of the library, followed by a dot: letters, digits and
	// any of _ . - /, a letter first. Default: "penstock".
	Prefix string

	// Buckets are the bounds that timers advise, ascending, 1 to 200, each more than 0; views
	// of the provider may have others. Default: 18 from 100 µs to 1 minute.
	Buckets []time.Duration

	// MaxSeries bounds the series that the recorder keeps, 1 to 1,000,000. The SDK has a
	// bound of its own for each instrument. Default: 4,096.
	MaxSeries int

	// Linger is how long a series is still observed after its owner has ended, 0 to 1 hour,
	// -1 for the next collection alone. Default: 1 minute.
	Linger time.Duration

	// Logger gets a line for each name of which an instrument or a series was refused.
	// Default: slog.Default.
	Logger *slog.Logger
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

const owner = option.Owner("otel.Recorder")

var prefixes = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_./-]{0,99}$`)

// defaultBuckets are those of metrics/prometheus.
var defaultBuckets = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute,
}

func (c Config) withDefaults() Config {
	option.Default(&c.Prefix, "penstock")
	if len(c.Buckets) == 0 {
		c.Buckets = defaultBuckets
	}
	option.Default(&c.MaxSeries, 4096)
	option.Default(&c.Linger, time.Minute)
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c Config) validate() error {
	if err := option.First(
		owner.Needs("Provider", c.Provider, "a MeterProvider"),
		owner.Check(prefixes.MatchString(c.Prefix), "Prefix", c.Prefix, "up to 100 letters, digits and _ . - /, a letter first"),
		option.Within(owner, "MaxSeries", c.MaxSeries, 1, 1_000_000),
		owner.Check(c.Linger == -1 || c.Linger >= 0 && c.Linger <= time.Hour, "Linger", c.Linger, "0 to 1h, or -1"),
		option.Within(owner, "Buckets", len(c.Buckets), 1, 200),
	); err != nil {
		return err
	}
	least := time.Duration(0)
	for _, b := range c.Buckets {
		if b <= least {
			return owner.Refuse("Buckets", c.Buckets, "ascending, each more than 0")
		}
		least = b
	}
	return nil
}
