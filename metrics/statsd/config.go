package statsd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"

	cactus "github.com/cactus/go-statsd-client/v5/statsd"

	"github.com/penstock-go/penstock/internal/option"
)

// Config configures the server and the protocol of a [Recorder]. The zero value
// sends DogStatsD's dialect to 127.0.0.1:8125.
type Config struct {
	// Address is the server's host:port for UDP. A name is resolved in the
	// background, again every minute and after a flush of which nothing could
	// be sent. Default: "127.0.0.1:8125".
	Address string

	// Dial opens the connection to the server in place of UDP to Address, for a
	// Unix datagram socket or a test: each Write is one datagram. It must return
	// when its context is done. A SetWriteDeadline method is used if there is
	// one; without it Write must not block. It is called again every minute, since what
	// it connects to may have moved: UDP reports no loss. Default: UDP.
	Dial func(context.Context) (io.WriteCloser, error)

	// Prefix goes before every name, followed by a dot. Default: none.
	Prefix string

	// Tags are the server's dialect for tags. Default: [TagsOctothorpe].
	Tags TagFormat

	// Timers is the type under which timers are sent, always in milliseconds
	// with fractions. Default: [TimerMilliseconds].
	Timers TimerType

	// FlushInterval is the time for which values are collected between two
	// sends, 1 ms to 1 minute. Default: 100 ms, short enough that a timer with
	// up to 81,920 observations a second is sent completely and the datagrams
	// of one flush fit into a receiver's default socket buffer, at ten lines a
	// second for each series that changes.
	FlushInterval time.Duration

	// TimerSamples bounds the observations of a timer that are sent for each
	// interval, besides the largest: 1 to 65,536. More are sampled. Each timer
	// holds up to 16 bytes for each. Default: 8,192.
	TimerSamples int

	// MaxDatagram is the size in bytes of the largest datagram: 256 to 65,507.
	// Default: 1,432, which passes an Ethernet without fragmentation.
	MaxDatagram int

	// MaxSeries bounds the series that the recorder keeps, 1 or more; see the
	// package comment on tags. Default: 4,096.
	MaxSeries int

	// Logger gets one line when sending begins to fail and one when it works
	// again, one for each name of which a series was refused, and one when series
	// give way to others for the first time. Default: slog.Default.
	Logger *slog.Logger

	dials bool // Dial was set
}

// TagFormat is a dialect of tags.
type TagFormat uint8

// The dialects.
const (
	// TagsOctothorpe is DogStatsD's: name:1|c|#key:value,key:value.
	TagsOctothorpe TagFormat = iota
	// TagsComma is InfluxDB's: name,key=value,key=value:1|c.
	TagsComma
	// TagsSemicolon is Graphite's: name;key=value;key=value:1|c.
	TagsSemicolon
)

var clientTagFormats = [...]cactus.TagFormat{
	TagsOctothorpe: cactus.SuffixOctothorpe,
	TagsComma:      cactus.InfixComma,
	TagsSemicolon:  cactus.InfixSemicolon,
}

// TimerType is the type under which a timer's observations are sent.
type TimerType uint8

// The types. The last two are DogStatsD's alone.
const (
	// TimerMilliseconds is |ms, which every server knows. Each server computes its
	// own percentiles, and percentiles of several servers cannot be combined.
	TimerMilliseconds TimerType = iota
	// TimerDistribution is |d, aggregated over all senders.
	TimerDistribution
	// TimerHistogram is |h, aggregated by each agent.
	TimerHistogram
)

// OptionError reports a refused option: Owner, Option, Value, and in Allowed what
// is allowed. The type is the same in every package of this module.
type OptionError = option.Error

func (c Config) withDefaults() Config {
	option.Default(&c.Address, "127.0.0.1:8125")
	option.Default(&c.FlushInterval, 100*time.Millisecond)
	option.Default(&c.TimerSamples, 8192)
	option.Default(&c.MaxDatagram, 1432)
	option.Default(&c.MaxSeries, 4096)
	option.Logger(&c.Logger)
	c.dials = c.Dial != nil
	if c.Dial == nil {
		address := c.Address
		c.Dial = func(ctx context.Context) (io.WriteCloser, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", address)
		}
	}
	return c
}

// validate is called with the defaults filled in.
func (c Config) validate() error {
	refuse := option.Owner("statsd.Recorder").Refuse
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return refuse("Address", c.Address, "host:port")
	}
	switch {
	case int(c.Tags) >= len(clientTagFormats):
		return refuse("Tags", c.Tags, "one of the TagFormat constants")
	case c.Timers > TimerHistogram:
		return refuse("Timers", c.Timers, "one of the TimerType constants")
	case c.Timers != TimerMilliseconds && c.Tags != TagsOctothorpe:
		return refuse("Timers", c.Timers, "TimerMilliseconds unless Tags is TagsOctothorpe")
	case c.FlushInterval < time.Millisecond || c.FlushInterval > time.Minute:
		return refuse("FlushInterval", c.FlushInterval, "1ms to 1m")
	case c.TimerSamples < 1 || c.TimerSamples > 1<<16:
		return refuse("TimerSamples", c.TimerSamples, "1 to 65536")
	case c.MaxDatagram < 256 || c.MaxDatagram > 65507:
		return refuse("MaxDatagram", c.MaxDatagram, "256 to 65507")
	case c.MaxSeries < 1:
		return refuse("MaxSeries", c.MaxSeries, "1 or more")
	}
	return nil
}
