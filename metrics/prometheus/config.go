package prometheus

import (
	"log/slog"
	"regexp"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/internal/series"
)

// Config configures a [Recorder]. The zero value is useful.
type Config struct {
	// Registerer is where the recorder registers itself, so that its measurements are shown
	// with others. One recorder fits into a registry, unless the Registerer adds a prefix or
	// a label. [Recorder.Handler] shows all of it if it is a registry. Default: a registry
	// of the recorder's own.
	Registerer client.Registerer

	// Namespace goes before each name of the library, followed by an underscore: letters,
	// digits and underscores. Default: "penstock".
	Namespace string

	// Buckets are the upper bounds of a timer's buckets, ascending, 1 to 200, each more than
	// 0. Default: 18 from 100 µs to 1 minute.
	Buckets []time.Duration

	// NativeHistograms adds buckets without fixed bounds, each at most 10% wider than the one
	// before, for servers that take them. Default: false.
	NativeHistograms bool

	// MaxSeries bounds the series that the recorder keeps, 1 to 1,000,000. A timer is one.
	// Default: 4,096.
	MaxSeries int

	// Linger is how long a series is still shown after its owner has ended, at least until
	// the next scrape: 0 to 1 hour, -1 for not at all beyond that scrape. It should be longer
	// than the time between two scrapes. Default: 1 minute.
	Linger time.Duration

	// Logger gets a line for each name of which a series was refused, one for each name that
	// was changed since it would have been another's, and errors of scrapes. Default:
	// slog.Default.
	Logger *slog.Logger
}

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

const owner = option.Owner("prometheus.Recorder")

var namespaces = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,99}$`)

func (c Config) withDefaults() Config {
	if c.Registerer == nil {
		c.Registerer = client.NewRegistry()
	}
	option.Default(&c.Namespace, "penstock")
	common := c.series().WithDefaults()
	c.Buckets, c.MaxSeries, c.Linger = common.Buckets, common.MaxSeries, common.Linger
	option.Logger(&c.Logger)
	return c
}

// validate is called with the defaults filled in.
func (c Config) validate() error {
	return option.First(
		owner.Needs("Registerer", c.Registerer, "a registerer"),
		owner.Check(namespaces.MatchString(c.Namespace), "Namespace", c.Namespace, "up to 100 letters, digits and underscores, not a digit first"),
		c.series().Check(owner),
	)
}

// series returns the options that all recorders have.
func (c Config) series() series.Options {
	return series.Options{Buckets: c.Buckets, MaxSeries: c.MaxSeries, Linger: c.Linger}
}
