package websocket

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// connect calls the application. A panic refuses the client as an error does.
func (m *mount) connect(r *http.Request, a *admission, params Params, token, transport string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crash.Of(v)
			m.endpoint.logCrash("connect", err, "socket", m.kind.name)
		}
	}()
	// The application's Connect may ask a database: the request must not hang
	// with it.
	ctx, cancel := context.WithTimeout(r.Context(), m.cfg.Timeouts.Connect)
	defer cancel()
	// Only for the log.
	start := time.Now()
	a.state, a.id, err = m.kind.connect(ctx, m.connectRequest(r, params, token))
	if err == nil {
		// Credentials that have expired already refuse the client here.
		a.until, err = m.kind.until(a.state)
	}
	m.endpoint.log.Debug("connect", "socket", m.kind.name, "transport", transport, "version", a.version,
		"took", time.Since(start), "accepted", err == nil, slog.Any("params", logged(params)))
	return err
}

// connectRequest makes what the application's Connect may see of a request.
func (m *mount) connectRequest(r *http.Request, params Params, token string) *ConnectRequest {
	// A copy, since the URL of a server's request has neither scheme nor host.
	u := *r.URL
	u.Host, u.Scheme = r.Host, "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if public := m.endpoint.publicURL; public != nil {
		u.Scheme, u.Host = public.Scheme, public.Host
	}
	// A list of what is let through, so that cookies and credentials for other parts of
	// the program are not seen by accident. MountConfig.Headers adds to it.
	header := make(http.Header)
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "Sec-Websocket-") ||
			name == "Traceparent" || name == "Tracestate" {
			header[name] = values
		}
	}
	for _, name := range m.cfg.Headers {
		if values := r.Header.Values(name); len(values) > 0 {
			header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if m.cfg.AuthToken {
		header.Del("Sec-Websocket-Protocol") // hold the token
		header.Del("X-Phoenix-Authtoken")
	}
	return &ConnectRequest{
		Params: params, AuthToken: token, RemoteAddr: r.RemoteAddr,
		URL: &u, UserAgent: r.UserAgent(), Header: header,
	}
}
