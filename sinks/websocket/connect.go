package websocket

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// connect calls the application. A panic refuses the client as an error does, and
// so does a Connect that has not returned soon after its context has ended.
func (m *mount) connect(r *http.Request, a *admission, params Params, token, transport string) error {
	// The application's Connect may ask a database: the request must not hang
	// with it. The context also ends when the client hangs up.
	ctx, cancel := context.WithTimeout(r.Context(), m.cfg.Timeouts.Connect)
	defer cancel()
	// Only for the log.
	start := time.Now()
	var found admission // of that goroutine until the call has returned
	call := m.endpoint.own(&m.endpoint.hungConnects, "", func() (err error) {
		found.state, found.id, err = m.kind.connect(ctx, m.connectRequest(r, params, token))
		if err == nil {
			// Credentials that have expired already refuse the client here.
			found.until, err = m.kind.until(found.state)
		}
		return err
	})
	var err error
	switch {
	case !call.await(ctx.Done()):
		m.endpoint.log.Warn("Connect does not end", "socket", m.kind.name, "for", time.Since(start),
			"hung", call.hang())
		err = &StatusError{Status: http.StatusServiceUnavailable, Body: refusalTexts[refusedHung]}
	case call.crashed():
		m.endpoint.logCrash("connect", call.err, "socket", m.kind.name)
		err = call.err
	case call.err != nil:
		err = call.err
	default:
		a.state, a.id, a.until = found.state, found.id, found.until
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
