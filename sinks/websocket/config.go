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
	// PubSub carries the broadcasts. Default: a hub of the endpoint's own.
	PubSub *pubsub.Hub
	// Metrics receives socket_connect, channel_join, websocket.connections,
	// websocket.queue_full, websocket.client_held and websocket.discarded. Default:
	// metrics.Nop.
	Metrics metrics.Recorder
	// Logger receives failures (Warn, Error), connects and joins (Debug).
	// Payloads and tokens are never logged; names chosen by a client are escaped
	// and cut. Default: nothing is logged.
	Logger *slog.Logger
	// Origin is for mounts that have none of their own. Default: SameOrigin.
	Origin OriginCheck
	// ClientAddress returns the address of the client that a request comes from.
	// Behind a proxy it must be taken from a header that this proxy sets, and
	// never from one that a client can send: see [ForwardedFor]. Default: the
	// peer's address.
	ClientAddress func(r *http.Request) netip.Addr
	// Limits bounds what all clients can use together.
	Limits EndpointLimits
	// Shutdown configures [Endpoint.Close].
	Shutdown ShutdownConfig
}

// ShutdownConfig configures how [Endpoint.Close] closes connections. The zero
// value is useful.
type ShutdownConfig struct {
	// Code is the close code: 1000 to 1014 except 1004 to 1006, or 3000 to 4999.
	// Phoenix's own drainer sends 1012. With 1000, phoenix.js up to 1.8.12 does
	// not connect again. Default: 1001 (going away).
	Code int
	// Batch is how many connections are closed at once, so that their clients do
	// not all come back in one moment. Default: 10,000.
	Batch int
	// Interval is the pause between two batches. Default: 2 s.
	Interval time.Duration
}

// withDefaults returns cfg with the defaults of unset fields. Its logger is bounded.
func (cfg EndpointConfig) withDefaults() EndpointConfig {
	cfg.Limits.setDefaults()
	option.Default(&cfg.Shutdown.Code, 1001)
	option.Default(&cfg.Shutdown.Batch, 10_000)
	option.Default(&cfg.Shutdown.Interval, 2*time.Second)
	option.Default(&cfg.Metrics, metrics.Nop())
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	} else {
		cfg.Logger = slog.New(newLogLimit(cfg.Logger.Handler(), cfg.Limits.LogRate))
	}
	if cfg.Origin == nil {
		cfg.Origin = SameOrigin
	}
	if cfg.ClientAddress == nil {
		cfg.ClientAddress = peerAddress
	}
	return cfg
}

// validate returns an *OptionError for the first field that is not allowed.
func (cfg EndpointConfig) validate() error {
	return option.First(
		cfg.Limits.validate(),
		endpointOwner.Recorder(cfg.Metrics),
		endpointOwner.Check(cfg.Shutdown.Code == 0 || closeCodeAllowed(cfg.Shutdown.Code),
			"Shutdown.Code", cfg.Shutdown.Code, "1000 to 1014 but not 1004 to 1006, or 3000 to 4999"),
		option.AtLeast(endpointOwner, "Shutdown.Batch", cfg.Shutdown.Batch, 0),
		option.AtLeast(endpointOwner, "Shutdown.Interval", cfg.Shutdown.Interval, 0),
	)
}

// closeCodeAllowed reports whether a close code may be sent in a frame (RFC 6455,
// 7.4).
func closeCodeAllowed(code int) bool {
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)
}
