package websocket

import (
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/internal/option"
)

// MountConfig configures how a [Socket] is reached at one path. The zero value
// is useful.
type MountConfig struct {
	// Suffix follows the mount path for WebSocket connections. Default:
	// "/websocket", which phoenix.js appends.
	Suffix string
	// Origins lists the pages that may connect, as for [Origins]. Default: what
	// Origin says.
	Origins []string
	// Origin decides instead of a list. Default: as for the endpoint.
	Origin OriginCheck
	// AuthToken takes the client's token from the subprotocol
	// "base64url.bearer.phx.…", as phoenix.js sends its option authToken, and
	// replies with the subprotocol "phoenix".
	AuthToken bool
	// Subprotocols are those offered. The first one that the client asks for is
	// chosen, and a client that asks for none of them is refused; a client that
	// asks for nothing is not. Default: requests for subprotocols are ignored.
	Subprotocols []string
	// Serializers are wire formats beside versions 1 and 2 of Phoenix, which are
	// always there. Default: none.
	Serializers []SerializerConfig
	// Headers are further request headers that Connect may see, such as Cookie.
	// With Cookie a request needs an Origin or a token outside of the URL, since
	// a browser adds cookies to the requests of foreign pages too.
	Headers []string
	// TopicAllowed decides which topics may be joined at all, before anything
	// else is done with their names, which are at most 255 bytes of valid UTF-8
	// in any case. A topic that it refuses is treated like one that no pattern
	// matches. It must be quick. Default: one or more of A-Z a-z 0-9 _ : . and -.
	TopicAllowed func(topic string) bool
	// Limits bounds what one client can use.
	Limits Limits
	// Timeouts bounds the time that a connection may take for something.
	Timeouts Timeouts
	// Queue configures the outbound queue of each connection.
	Queue QueueConfig
	// Compression compresses messages in both directions, with clients that offer it.
	// Default: off.
	Compression *CompressionConfig
	// LongPoll serves clients without WebSocket. Default: they are not served.
	LongPoll *LongPollConfig
}

// QueueConfig configures the outbound queue of each connection.
type QueueConfig struct {
	// Events bounds the events in the queue. Default: 256.
	Events int
	// Bytes bounds the bytes in the queue. Default: 1 MiB.
	Bytes int
	// Overflow is the policy for channels that have none of their own. Default:
	// CloseSlow.
	Overflow Overflow
}

// Overflow is what happens to a push or broadcast for which the outbound queue
// of a connection has no room. Replies and control messages have as much room again
// and no policy: see the package documentation under Back-pressure.
type Overflow uint8

const (
	// DefaultOverflow is the mount's policy for a channel, and CloseSlow for a
	// mount.
	DefaultOverflow Overflow = iota
	// CloseSlow closes the connection with 1013: the client connects again,
	// joins again and knows that it missed something.
	CloseSlow
	// DropNewest discards the event that finds no room.
	DropNewest
	// DropOldest discards the events that have waited longest.
	DropOldest

	// retried is for an item that its sender queues again when there is room: a
	// record of the history, or a delivery. It is refused if there is no room,
	// and never discarded for other items.
	retried
)

const overflowNames = "DefaultOverflow, CloseSlow, DropNewest, DropOldest"

// withDefaults returns cfg with the defaults of unset fields.
func (cfg MountConfig) withDefaults() MountConfig {
	option.Default(&cfg.Suffix, "/websocket")
	if len(cfg.Origins) > 0 {
		cfg.Origin, _ = newOrigins(mountOwner, "Origins", cfg.Origins) // validated
	}
	if cfg.TopicAllowed == nil {
		cfg.TopicAllowed = plainTopic
	}
	cfg.Limits.setDefaults()
	cfg.Timeouts.setDefaults()
	option.Default(&cfg.Queue.Events, 256)
	option.Default(&cfg.Queue.Bytes, 1<<20)
	option.Default(&cfg.Queue.Overflow, CloseSlow)
	if cfg.Compression != nil {
		own := cfg.Compression.withDefaults()
		cfg.Compression = &own
	}
	if cfg.LongPoll != nil {
		own := *cfg.LongPoll
		option.Default(&own.Suffix, "/longpoll")
		option.Default(&own.Window, 10*time.Second)
		own.Secret = slices.Clone(own.Secret)
		cfg.LongPoll = &own
	}
	return cfg
}

// notToken reports whether a subprotocol is not a token of RFC 9110.
func notToken(p string) bool { return p == "" || strings.ContainsAny(p, " ,\t\r\n\"") }

// validate returns an *OptionError for the first field that is not allowed.
func (cfg MountConfig) validate() error {
	return option.First(
		serializersAllowed(cfg.Serializers),
		suffixAllowed("Suffix", cfg.Suffix),
		originsAllowed(mountOwner, cfg.Origins, cfg.Origin),
		mountOwner.Check(!slices.ContainsFunc(cfg.Subprotocols, notToken), "Subprotocols", cfg.Subprotocols, "tokens of RFC 9110"),
		cfg.Limits.validate(),
		cfg.Timeouts.validate(),
		option.AtLeast(mountOwner, "Queue.Events", cfg.Queue.Events, 0),
		option.AtLeast(mountOwner, "Queue.Bytes", cfg.Queue.Bytes, 0),
		mountOwner.Check(cfg.Queue.Overflow <= DropOldest, "Queue.Overflow", cfg.Queue.Overflow, overflowNames),
		cfg.Compression.validate(),
		cfg.LongPoll.validate(),
	)
}

// suffixAllowed refuses a suffix that no request can have; "" is the default.
func suffixAllowed(name, suffix string) error {
	if suffix == "" {
		return nil
	}
	return pathAllowed(name, suffix)
}

// plainTopic is the default grammar of topics: what it allows means the same in
// a log, a URL, a file name and a metric.
func plainTopic(topic string) bool {
	for i := range len(topic) {
		switch c := topic[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.', c == '-':
		default:
			return false
		}
	}
	return topic != ""
}
