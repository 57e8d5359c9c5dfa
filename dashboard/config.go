package dashboard

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// OptionError reports a refused option. It is the same type in all packages.
type OptionError = option.Error

// The defaults of Config.
const (
	DefaultTitle      = "Penstock"
	DefaultInterval   = time.Second
	DefaultMaxViewers = 100
	DefaultMaxItems   = 2000
	DefaultMaxList    = 100
)

// Config configures [New]. The zero value is useful: everything is shown, nothing can be
// controlled.
type Config struct {
	// Title is the page's title. Default: "Penstock".
	Title string
	// Interval is the time between two snapshots, 100 ms to 1 min. Default: 1 s.
	Interval time.Duration
	// Allow reports whether a request may control pipelines and play dead letters back. The
	// request is as it came, with the program's cookies and headers; ones of other sites
	// are refused before. It may be called on several goroutines at once. Default: no
	// request may.
	Allow func(r *http.Request) bool
	// MaxViewers bounds the viewers at one time; the status of another one is 503. Default:
	// 100.
	MaxViewers int
	// MaxItems bounds the stages, the steps and the subscriptions that are shown of one
	// part. Default: 2,000 each.
	MaxItems int
	// MaxList bounds any other list in a snapshot, such as the partitions of a topic. Of the
	// keys with the longest queues at most 20 are shown. Default: 100.
	MaxList int
	// Logger gets a line for each action, with the address that it came from. Default:
	// slog.Default.
	Logger *slog.Logger
}

const owner = option.Owner("dashboard.Dashboard")

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	option.Default(&c.Title, DefaultTitle)
	option.Default(&c.Interval, DefaultInterval)
	option.Default(&c.MaxViewers, DefaultMaxViewers)
	option.Default(&c.MaxItems, DefaultMaxItems)
	option.Default(&c.MaxList, DefaultMaxList)
	option.Logger(&c.Logger)
	return c
}

// validate checks a config with its defaults.
func (c Config) validate() error {
	return option.First(
		option.Within(owner, "Interval", c.Interval, 100*time.Millisecond, time.Minute),
		option.Within(owner, "MaxViewers", c.MaxViewers, 1, 100_000),
		option.Within(owner, "MaxItems", c.MaxItems, 1, 100_000),
		option.Within(owner, "MaxList", c.MaxList, 1, 100_000),
	)
}
