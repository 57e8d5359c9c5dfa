package websocket

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
)

// EndpointConfig configures an [Endpoint]. The zero value is useful.
type EndpointConfig struct {
	// PubSub carries the broadcasts; nil means one of the endpoint's own.
	PubSub *pubsub.Hub
	// Metrics receives socket_connect, channel_join, websocket.connections,
	// websocket.queue_full and websocket.discarded; nil means nobody.
	Metrics metrics.Recorder
	// Logger receives what goes wrong (Warn, Error) and who connects and joins
	// (Debug); nil means nobody. Payloads and tokens are never logged, what a
	// client chose is escaped and cut.
	Logger *slog.Logger
	// MaxLogRate bounds the lines of each kind that are logged in a second, as
	// clients can cause many; what was left out is counted in the next line of
	// the kind. 0 means 100.
	MaxLogRate int
	// Origin is for mounts that have none of their own; nil means [SameOrigin].
	Origin OriginCheck
	// MaxConnections refuses further connections with status 503. 0 means no
	// bound.
	MaxConnections int
	// MaxPerAddress refuses further connections from an address, and from a /64
	// of IPv6, with status 503. 0 means no bound.
	MaxPerAddress int
	// MaxConnectRate refuses an address, or a /64 of IPv6, that tries to connect
	// more often than so many times a second, with bursts of a second's worth,
	// with status 429. 0 means no bound.
	MaxConnectRate int
	// MaxPerID refuses further connections with the same socket id, which is to
	// say of one user, with status 429. 0 means no bound.
	MaxPerID int
	// MaxChannels bounds the channels of all connections together: further joins
	// are refused. 0 means no bound.
	MaxChannels int
	// ClientAddress answers the address of the client that a request comes from;
	// nil means the peer's. Behind a proxy it must be taken from a header that
	// this proxy sets, and never from what a client can send: see [ForwardedFor].
	ClientAddress func(r *http.Request) netip.Addr
	// MaxQueuedBytes bounds the bytes queued for all connections together. When
	// it is exceeded, the connection with the longest queue is closed with 1013.
	// A broadcast counts once for each connection. 0 means 256 MiB.
	MaxQueuedBytes int64
	// ShutdownCode is the close code of [Endpoint.Shutdown]: 1000 to 1014 or
	// 3000 to 4999. 0 means 1001 (going away). Phoenix's own drainer sends 1012.
	// With 1000, phoenix.js up to 1.8.12 does not connect again.
	ShutdownCode int
	// ShutdownBatch is how many connections Shutdown closes at once, and
	// ShutdownInterval how long it waits between, so that clients do not all
	// come back in one moment. 0 means 10,000 and 2 s.
	ShutdownBatch    int
	ShutdownInterval time.Duration
}

func (c EndpointConfig) withDefaults() EndpointConfig {
	c.Metrics = metrics.Or(c.Metrics)
	option.Default(&c.MaxLogRate, 100)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	} else {
		c.Logger = slog.New(newLogLimit(c.Logger.Handler(), c.MaxLogRate))
	}
	if c.Origin == nil {
		c.Origin = SameOrigin
	}
	if c.ClientAddress == nil {
		c.ClientAddress = peerAddress
	}
	option.Default(&c.MaxQueuedBytes, 256<<20)
	option.Default(&c.ShutdownCode, 1001)
	option.Default(&c.ShutdownBatch, 10_000)
	option.Default(&c.ShutdownInterval, 2*time.Second)
	return c
}

func (c EndpointConfig) validate() error {
	return option.First(
		option.AtLeast(endpointOwner, "MaxConnections", c.MaxConnections, 0),
		option.AtLeast(endpointOwner, "MaxPerAddress", c.MaxPerAddress, 0),
		option.AtLeast(endpointOwner, "MaxConnectRate", c.MaxConnectRate, 0),
		option.AtLeast(endpointOwner, "MaxPerID", c.MaxPerID, 0),
		option.AtLeast(endpointOwner, "MaxChannels", c.MaxChannels, 0),
		option.AtLeast(endpointOwner, "MaxLogRate", c.MaxLogRate, 0),
		option.AtLeast(endpointOwner, "MaxQueuedBytes", c.MaxQueuedBytes, 0),
		endpointOwner.Check(c.ShutdownCode == 0 || closeCodeAllowed(c.ShutdownCode),
			"ShutdownCode", c.ShutdownCode, "1000 to 1014 but not 1004 to 1006, or 3000 to 4999"),
		option.AtLeast(endpointOwner, "ShutdownBatch", c.ShutdownBatch, 0),
		option.AtLeast(endpointOwner, "ShutdownInterval", c.ShutdownInterval, 0),
	)
}

func closeCodeAllowed(code int) bool {
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)
}
