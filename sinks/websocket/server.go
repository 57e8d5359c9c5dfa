package websocket

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/penstock-go/penstock/internal/option"
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
	// HandshakeTimeout bounds the time from a new connection to the end of its
	// request's header, and that of a TLS handshake. Default: 5 s.
	HandshakeTimeout time.Duration
	// MaxHeaderBytes bounds the header of a request, with status 431. It is 8 KiB
	// or more. Default: 16 KiB.
	MaxHeaderBytes int
	// MaxHeaders bounds the number of header fields, with status 431. Default: 64.
	MaxHeaders int
	// MaxWaiting bounds the connections whose request, or next request, has not
	// come yet. Further ones are closed at once. Default: 4,096.
	MaxWaiting int
}

// headerSlop is what net/http adds to its MaxHeaderBytes.
const headerSlop = 4096

// NewServer returns an http.Server for handler that is fit for a public network:
// every step before the handler is bounded in time and size. It serves HTTP/1.1
// only, which WebSocket upgrades need; WebSockets over HTTP/2 (RFC 8441) are off.
// Responses over TLS make browsers use TLS for a year. The caller listens and
// serves, with Serve or ServeTLS(l, "", ""). The fields Handler, ConnState,
// TLSConfig and Protocols must not be changed. The error is a [*OptionError].
func NewServer(handler http.Handler, cfg ServerConfig) (*http.Server, error) {
	if err := option.First(
		serverOwner.Needs("handler", handler, "an http.Handler"),
		option.AtLeast(serverOwner, "HandshakeTimeout", cfg.HandshakeTimeout, 0),
		serverOwner.Check(cfg.MaxHeaderBytes == 0 || cfg.MaxHeaderBytes >= 2*headerSlop, "MaxHeaderBytes", cfg.MaxHeaderBytes, "0 (the default), or 8192 or more"),
		option.AtLeast(serverOwner, "MaxHeaders", cfg.MaxHeaders, 0),
		option.AtLeast(serverOwner, "MaxWaiting", cfg.MaxWaiting, 0),
	); err != nil {
		return nil, err
	}
	option.Default(&cfg.HandshakeTimeout, 5*time.Second)
	option.Default(&cfg.MaxHeaderBytes, 16<<10)
	option.Default(&cfg.MaxHeaders, 64)
	option.Default(&cfg.MaxWaiting, 4096)
	g := &gate{cfg: cfg, next: handler, waiting: make(map[net.Conn]struct{})}
	s := &http.Server{
		Handler:           g,
		ConnState:         g.state,
		ReadHeaderTimeout: cfg.HandshakeTimeout, // bounds the TLS handshake as well
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    cfg.MaxHeaderBytes - headerSlop,
		Protocols:         new(http.Protocols),
	}
	// Nothing else is set: no HTTP/2, over TLS or not.
	s.Protocols.SetHTTP1(true)
	if cfg.TLS != nil {
		s.TLSConfig = cfg.TLS.Clone()
		s.TLSConfig.MinVersion = max(s.TLSConfig.MinVersion, tls.VersionTLS12)
	}
	return s, nil
}

// gate checks requests before the handler gets them, and bounds the connections
// that have sent none.
type gate struct {
	cfg  ServerConfig
	next http.Handler

	mu      sync.Mutex
	waiting map[net.Conn]struct{} // guarded by mu: new or idle connections
}

// state maintains the set of connections that wait for a request.
func (g *gate) state(nc net.Conn, state http.ConnState) {
	// A hijacked connection is active no more and does not wait.
	waits := state == http.StateNew || state == http.StateIdle
	g.mu.Lock()
	if waits {
		g.waiting[nc] = struct{}{}
	} else {
		delete(g.waiting, nc)
	}
	tooMany := waits && len(g.waiting) > g.cfg.MaxWaiting
	g.mu.Unlock()
	if tooMany {
		_ = nc.Close() // the server calls again with StateClosed
	}
}

// ServeHTTP refuses requests with too many headers, or without TLS where it is
// required.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fields := 0
	// A name that is repeated counts as often as it is sent.
	for _, values := range r.Header {
		fields += len(values)
	}
	switch {
	case fields > g.cfg.MaxHeaders:
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestHeaderFieldsTooLarge, "")
		return
	case r.TLS != nil:
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	case !g.cfg.Plaintext && !local(r):
		refuse(w, http.StatusForbidden, "TLS is required")
		return
	}
	g.next.ServeHTTP(w, r)
}

// local reports whether a request came to a loopback address.
func local(r *http.Request) bool {
	// The address at which the server was reached, not that of the client.
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}
