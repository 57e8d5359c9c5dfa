package websocket

import (
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/trace"
)

// EndpointConfig configures an [Endpoint]. The zero value is useful.
type EndpointConfig struct {
	// PubSub carries the broadcasts. Default: a hub of the endpoint's own.
	PubSub *pubsub.Hub
	// Metrics receives socket_connect, channel_join and websocket.*, as
	// docs/metrics.md lists them. Default: metrics.Nop.
	Metrics metrics.Recorder
	// Tracer makes a span of each write of a delivery whose trace is sampled, also of another
	// node's. nil makes none.
	Tracer trace.Tracer
	// Logger receives failures (Warn, Error), connects and joins (Debug).
	// Payloads and tokens are never logged; names chosen by a client are escaped
	// and cut. Default: slog.Default.
	Logger *slog.Logger
	// Origins lists the pages that may connect, as for [Origins], for mounts that
	// have no check of their own. Default: what Origin says.
	Origins []string
	// Origin decides instead of a list. Default: pages of PublicURL, or SameOrigin
	// if there is none.
	Origin OriginCheck
	// PublicURL is where clients reach the endpoint if a proxy before it changes
	// the Host header or ends TLS, such as "https://app.example.com". The default
	// of Origin and ConnectRequest.URL follow it. Default: the Host of each request.
	PublicURL string
	// Hosts lists the hosts by which the endpoint may be reached, as for
	// [CheckHost]; requests for others get 421. It is against DNS rebinding, where
	// a browser takes a foreign page for one of the same origin. Default: any.
	Hosts []string
	// ClientAddress returns the address of the client that a request comes from.
	// Behind a proxy it must be taken from a header that this proxy sets, and
	// never from one that a client can send: see [ForwardedFor]. Default: the
	// peer's address.
	ClientAddress func(r *http.Request) netip.Addr
	// EventLoop takes the sockets of plain TCP connections out of the runtime's poller and waits
	// for them in epolls of the endpoint, which saves memory for each idle connection: what net
	// and the runtime keep for it. A connection then has a goroutine only while
	// a message is read and handled. Nothing else changes: handlers may block as ever.
	// Connections with TLS, and others than those of package net, stay as they are. The
	// server's net.Conn is closed as soon as the connection has been taken over, after
	// http.StateHijacked. It needs Linux: elsewhere [NewEndpoint] returns an [*OptionError].
	// Default: false.
	EventLoop bool
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
	option.Logger(&cfg.Logger)
	cfg.Logger = slog.New(newLogLimit(cfg.Logger.Handler(), cfg.Limits.LogRate))
	if cfg.Origin == nil && len(cfg.Origins) == 0 && cfg.PublicURL != "" {
		cfg.Origins = []string{cfg.PublicURL}
	}
	if len(cfg.Origins) > 0 {
		cfg.Origin, _ = newOrigins(endpointOwner, "Origins", cfg.Origins) // validated
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
	_, publicErr := parsePublicURL(endpointOwner, cfg.PublicURL)
	_, hostsErr := newHostList(endpointOwner, "Hosts", cfg.Hosts)
	return option.First(
		cfg.Limits.validate(),
		endpointOwner.Check(!cfg.EventLoop || runtime.GOOS == "linux", "EventLoop", cfg.EventLoop, "false, except on Linux"),
		originsAllowed(endpointOwner, cfg.Origins, cfg.Origin),
		publicErr,
		hostsErr,
		endpointOwner.Recorder(cfg.Metrics),
		endpointOwner.Optional("Tracer", cfg.Tracer, "a tracer"),
		endpointOwner.Check(cfg.Shutdown.Code == 0 || closeCodeAllowed(cfg.Shutdown.Code),
			"Shutdown.Code", cfg.Shutdown.Code, "1000 to 1014 but not 1004 to 1006, or 3000 to 4999"),
		option.AtLeast(endpointOwner, "Shutdown.Batch", cfg.Shutdown.Batch, 0),
		option.AtLeast(endpointOwner, "Shutdown.Interval", cfg.Shutdown.Interval, 0),
	)
}

// originsAllowed checks a list of origins, beside which no check may be set.
func originsAllowed(owner option.Owner, entries []string, check OriginCheck) error {
	if len(entries) == 0 {
		return nil
	}
	if _, err := newOrigins(owner, "Origins", entries); err != nil {
		return err
	}
	return owner.Check(check == nil, "Origin", check, "nil, since Origins is set")
}

// closeCodeAllowed reports whether a close code may be sent in a frame (RFC 6455,
// 7.4).
func closeCodeAllowed(code int) bool {
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)
}
