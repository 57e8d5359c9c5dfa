package websocket

import (
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
)

// ErrBodies is returned by the Read of a request's body when the bodies of all
// requests together exceed ServerLimits.BodiesBytes. Status 503 fits.
var ErrBodies = errors.New("websocket: too many bytes of bodies at once")

// headerSlop is what net/http adds to its MaxHeaderBytes.
const headerSlop = 4096

// NewServer returns an http.Server for handler that is fit for a public network:
// connections, requests, bodies and responses are bounded in number, size and time.
// A client that sends or takes nothing is cut off, however long a handler works.
// A handler can set deadlines of its own with an http.ResponseController: they
// replace those of the server until they are set to zero.
//
// It serves HTTP/1.1 only, which WebSocket upgrades need; WebSockets over HTTP/2
// (RFC 8441) are off. Responses over TLS make browsers use TLS for a year. A
// connection is closed after a request with a chunked body, since net/http does not
// show whether it had a Content-Length besides.
//
// Shutdown closes connections without a request at once, and those with one after
// ServerTimeouts.Drain; it then returns nil unless a handler does not return. The
// caller listens and serves, with Serve or ServeTLS(l, "", ""). The fields Handler,
// ConnState, TLSConfig and Protocols must not be changed. The error is an
// [*OptionError].
func NewServer(handler http.Handler, cfg ServerConfig) (*http.Server, error) {
	if err := serverOwner.Needs("handler", handler, "an http.Handler"); err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	g := &gate{cfg: cfg, next: handler, refusals: refusals{metrics: cfg.Metrics, log: cfg.Logger}}
	g.hosts, _ = newHostList(serverOwner, "Hosts", cfg.Hosts) // validated
	g.conns.limit = cfg.Limits.Waiting
	g.shares.limit = int64(cfg.Limits.Requests)
	g.bodies.limit, g.bodies.alone = cfg.Limits.BodiesBytes, cfg.Limits.BodyBytes
	s := &http.Server{
		Handler:           g,
		ConnState:         g.state,
		ReadHeaderTimeout: cfg.Timeouts.Header, // bounds the TLS handshake as well
		IdleTimeout:       cfg.Timeouts.Idle,
		MaxHeaderBytes:    cfg.Limits.HeaderBytes - headerSlop,
		Protocols:         new(http.Protocols),
	}
	// Nothing else is set: no HTTP/2, over TLS or not.
	s.Protocols.SetHTTP1(true)
	s.RegisterOnShutdown(g.drain)
	s.ErrorLog = log.New(&serverLog{log: cfg.Logger}, "", 0)
	if cfg.TLS != nil {
		s.TLSConfig = cfg.TLS.Clone()
		s.TLSConfig.MinVersion = max(s.TLSConfig.MinVersion, tls.VersionTLS12)
	}
	return s, nil
}

// gate stands before the handler of a server. Its parts have locks of their own,
// of which no two are held at once.
type gate struct {
	cfg      ServerConfig
	next     http.Handler
	hosts    hostList
	refusals refusals
	conns    gateConns
	shares   shares // requests that are served
	bodies   shares // bytes read of bodies whose requests are served
}

// ServeHTTP refuses requests that must not reach the handler, and serves the
// others within the bounds.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS != nil {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	if reason, status, text := g.check(r); reason != "" {
		sample := ""
		if reason == refusedHost {
			sample = r.Host
		}
		g.refuse(w, r, reason, sample, status, text)
		return
	}
	addr := network(g.cfg.ClientAddress(r))
	if !g.shares.take(addr, 1) {
		w.Header().Set("Retry-After", "1")
		g.refuse(w, r, refusedRequests, "", http.StatusServiceUnavailable, "")
		return
	}
	defer g.shares.give(addr, 1)
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
	}
	out := &gateWriter{g: g, w: w, rc: http.NewResponseController(w)}
	// A request without a body keeps http.NoBody, which handlers compare with.
	if r.Body != nil && r.Body != http.NoBody {
		body := &gateBody{out: out, r: r, addr: addr, from: http.MaxBytesReader(w, r.Body, g.cfg.Limits.BodyBytes), under: r.Body}
		out.body = body
		// The server keeps its own reference to the body.
		r.Body = body
		defer body.release()
	}
	// Also if the handler panics: net/http then closes the connection.
	defer out.end()
	g.next.ServeHTTP(out, r)
}

// check returns why a request is refused, or "".
func (g *gate) check(r *http.Request) (reason string, status int, text string) {
	fields := 0
	// A name that is repeated counts as often as it is sent.
	for _, values := range r.Header {
		fields += len(values)
	}
	switch {
	case fields > g.cfg.Limits.Headers:
		return refusedHeaders, http.StatusRequestHeaderFieldsTooLarge, ""
	case r.TLS == nil && !g.cfg.Plaintext && !local(r):
		return refusedPlaintext, http.StatusForbidden, "TLS is required"
	case !g.hosts.allows(r):
		return refusedHost, http.StatusMisdirectedRequest, ""
	case r.ContentLength > g.cfg.Limits.BodyBytes:
		return refusedBody, http.StatusRequestEntityTooLarge, ""
	}
	return "", 0, ""
}

// refuse responds to a request that does not reach the handler, and closes its
// connection.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, reason, sample string, status int, text string) {
	g.refusals.note(r, reason, sample, nil)
	w.Header().Set("Connection", "close")
	out := &gateWriter{g: g, w: w, rc: http.NewResponseController(w)}
	defer out.end()
	refuse(out, status, text)
}

// local reports whether a request came to a loopback address, or over a unix
// socket.
func local(r *http.Request) bool {
	// The address at which the server was reached, not that of the client.
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	if addr.Network() == "unix" {
		return true
	}
	at, err := netip.ParseAddrPort(addr.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}
