package websocket

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstock-go/penstock/internal/option"
	"github.com/penstock-go/penstock/metrics"
)

// ServerConfig configures [NewServer]. The zero value is useful.
type ServerConfig struct {
	// TLS holds the certificates; its GetCertificate can return a renewed one
	// without a restart. TLS below 1.2 is never accepted. Default: a server without
	// TLS.
	TLS *tls.Config
	// Plaintext accepts requests without TLS on addresses other than loopback too,
	// for a server behind a proxy that ends TLS. Default: they get 403.
	Plaintext bool
	// Hosts lists the hosts by which the server may be reached, as for
	// [CheckHost]; requests for others get 421. Default: any.
	Hosts []string
	// ClientAddress returns the address of the client that a request comes from, as
	// in [EndpointConfig]. Default: the peer's address.
	ClientAddress func(r *http.Request) netip.Addr
	// Metrics receives websocket.refused. Default: metrics.Nop.
	Metrics metrics.Recorder
	// Logger receives refused requests and connections (Warn), at most one line a
	// second for each reason, and what net/http reports, at most one line a second.
	// Default: slog.Default.
	Logger *slog.Logger
	// Limits bounds what all requests can use together.
	Limits ServerLimits
	// Timeouts bounds the time that a request may take for something.
	Timeouts ServerTimeouts
}

// ServerLimits bounds what requests can use before, in and after the handler.
type ServerLimits struct {
	// HeaderBytes bounds the header of a request, with status 431. It is 8 KiB or
	// more. Default: 16 KiB.
	HeaderBytes int
	// Headers bounds the number of header fields, with status 431. Default: 64.
	Headers int
	// Waiting bounds the connections whose request, or next request, has not come
	// yet. For a further one, the oldest of the address with the most of them is
	// closed. Default: 4,096.
	Waiting int
	// Requests bounds the requests that are served at once, WebSocket connections
	// not included, with status 503. An address, or a /64 of IPv6, may have as many
	// as are free: one alone gets half of them at most, and leaves the other half.
	// Default: 8,192.
	Requests int
	// BodyBytes bounds the body of one request. A larger Content-Length gets 413;
	// beyond the bound a handler's Read returns an *http.MaxBytesError. Default:
	// 8 MiB.
	BodyBytes int64
	// BodiesBytes bounds the bytes of bodies that have been read for requests that
	// are still served, all together, without the first 4 KiB of each. Beyond it Read
	// returns [ErrBodies]. An address, or a /64 of IPv6, may have as many as are free,
	// and in any case BodyBytes. Default: 64 MiB.
	BodiesBytes int64
}

// ServerTimeouts bounds the time that a request may take for something.
// [NoTimeout] turns one off.
type ServerTimeouts struct {
	// Header bounds the time from a new connection to the end of its request's
	// header, and that of a TLS handshake. Default: 5 s.
	Header time.Duration
	// Read ends a request when nothing of its body has come for that long while it
	// is read. Default: 5 s.
	Read time.Duration
	// Body bounds the time from the first read of a body to its end. Default: 30 s.
	Body time.Duration
	// Write ends a request whose client takes no 16 KiB of the response, or less
	// where less is left, for that long. Default: 5 s.
	Write time.Duration
	// Idle closes a connection without a next request. Default: 2 min.
	Idle time.Duration
	// Drain is how long Shutdown waits for requests that are being served. After
	// that their connections are closed. Keep it below the time that Shutdown's
	// context has. Default: 5 s.
	Drain time.Duration
}

// withDefaults returns cfg with the defaults of unset fields.
func (cfg ServerConfig) withDefaults() ServerConfig {
	option.Default(&cfg.Limits.HeaderBytes, 16<<10)
	option.Default(&cfg.Limits.Headers, 64)
	option.Default(&cfg.Limits.Waiting, 4096)
	option.Default(&cfg.Limits.Requests, 8192)
	option.Default(&cfg.Limits.BodyBytes, 8<<20)
	option.Default(&cfg.Limits.BodiesBytes, 64<<20)
	option.Default(&cfg.Timeouts.Header, 5*time.Second)
	option.Default(&cfg.Timeouts.Read, 5*time.Second)
	option.Default(&cfg.Timeouts.Body, 30*time.Second)
	option.Default(&cfg.Timeouts.Write, 5*time.Second)
	option.Default(&cfg.Timeouts.Idle, 2*time.Minute)
	option.Default(&cfg.Timeouts.Drain, 5*time.Second)
	option.Default(&cfg.Metrics, metrics.Nop())
	option.Logger(&cfg.Logger)
	if cfg.ClientAddress == nil {
		cfg.ClientAddress = peerAddress
	}
	return cfg
}

// validate returns an *OptionError for the first field that is not allowed.
func (cfg ServerConfig) validate() error {
	_, hostsErr := newHostList(serverOwner, "Hosts", cfg.Hosts)
	bytes := cfg.Limits.HeaderBytes
	return option.First(
		hostsErr,
		serverOwner.Recorder(cfg.Metrics),
		serverOwner.Check(bytes == 0 || bytes >= 2*headerSlop, "Limits.HeaderBytes", bytes, "0 (the default), or 8192 or more"),
		option.AtLeast(serverOwner, "Limits.Headers", cfg.Limits.Headers, 0),
		option.AtLeast(serverOwner, "Limits.Waiting", cfg.Limits.Waiting, 0),
		option.AtLeast(serverOwner, "Limits.Requests", cfg.Limits.Requests, 0),
		option.AtLeast(serverOwner, "Limits.BodyBytes", cfg.Limits.BodyBytes, 0),
		option.AtLeast(serverOwner, "Limits.BodiesBytes", cfg.Limits.BodiesBytes, 0),
		option.AtLeast(serverOwner, "Timeouts.Header", cfg.Timeouts.Header, 0),
		option.AtLeast(serverOwner, "Timeouts.Read", cfg.Timeouts.Read, 0),
		option.AtLeast(serverOwner, "Timeouts.Body", cfg.Timeouts.Body, 0),
		option.AtLeast(serverOwner, "Timeouts.Write", cfg.Timeouts.Write, 0),
		option.AtLeast(serverOwner, "Timeouts.Idle", cfg.Timeouts.Idle, 0),
		option.AtLeast(serverOwner, "Timeouts.Drain", cfg.Timeouts.Drain, 0),
	)
}
