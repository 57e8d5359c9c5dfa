package otel

import (
	"log/slog"
	"regexp"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/series"
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

func (c Config) withDefaults() Config {
	option.Default(&c.Prefix, "penstock")
	common := c.series().WithDefaults()
	c.Buckets, c.MaxSeries, c.Linger = common.Buckets, common.MaxSeries, common.Linger
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c Config) validate() error {
	return option.First(
		owner.Needs("Provider", c.Provider, "a MeterProvider"),
		owner.Check(prefixes.MatchString(c.Prefix), "Prefix", c.Prefix, "up to 100 letters, digits and _ . - /, a letter first"),
		c.series().Check(owner),
	)
}

// series returns the options that all recorders have.
func (c Config) series() series.Options {
	return series.Options{Buckets: c.Buckets, MaxSeries: c.MaxSeries, Linger: c.Linger}
}
