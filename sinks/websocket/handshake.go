package websocket

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// admission is what the checks before the upgrade have found out.
type admission struct {
	version     codec.Version
	subprotocol string // to be answered; "" means none
	state       any
	id          string
	addr        netip.Addr // of the client
	until       time.Time  // when the credentials end; zero for never
}

// serveWebSocket checks a request in the order in which Phoenix does (method,
// origin, subprotocol, version, connect callback, WebSocket headers), so that
// who may not connect learns nothing else, and upgrades it.
func (m *mount) serveWebSocket(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	if r.Method != http.MethodGet || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		// A body would be taken for frames, and what follows it for a request.
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "")
		return
	}
	a, err := m.admit(r, vars, "websocket")
	if err != nil {
		m.connectError.Add(1)
		m.endpoint.log.Debug("socket refused", "socket", m.kind.name, "remote", r.RemoteAddr, "error", err)
		var status *StatusError
		if errors.As(err, &status) && status.Status >= 400 && status.Status <= 599 {
			refuse(w, status.Status, status.Body)
		} else {
			refuse(w, http.StatusForbidden, "")
		}
		return
	}
	if bad := badHeader(r); bad != "" {
		m.connectError.Add(1)
		refuse(w, http.StatusBadRequest, bad)
		return
	}
	m.upgrade(w, r, a)
}

// Reasons for the log; to the client all refusals look alike.
var (
	errOrigin      = errors.New("websocket: origin not allowed")
	errNoOrigin    = errors.New("websocket: neither origin nor token where cookies count")
	errSubprotocol = errors.New("websocket: no common subprotocol")
)

func (m *mount) admit(r *http.Request, vars map[string]string, transport string) (admission, error) {
	var a admission
	if m.endpoint.closing.Load() {
		return a, &StatusError{Status: http.StatusServiceUnavailable}
	}
	a.addr = m.endpoint.cfg.ClientAddress(r)
	if !m.endpoint.arrivals.allow(a.addr, time.Now()) {
		return a, &StatusError{Status: http.StatusTooManyRequests}
	}
	if m.endpoint.registry.full(a.addr) {
		return a, &StatusError{Status: http.StatusServiceUnavailable}
	}
	params := parseParams(r.URL.RawQuery)
	for k, v := range vars {
		params[k] = v
	}
	if !originAllowed(r, m.cfg.Origin) {
		return a, errOrigin
	}
	var token string
	if transport == "longpoll" {
		if m.cfg.AuthToken {
			token = r.Header.Get("X-Phoenix-Authtoken")
		}
	} else {
		var ok bool
		if token, ok = m.subprotocols(r, &a); !ok {
			return a, errSubprotocol
		}
	}
	var err error
	if a.version, err = codec.ParseVersion(params.Get("vsn")); err != nil {
		m.endpoint.log.Warn("socket refused: protocol version", "socket", m.kind.name, "vsn", clip(params.Get("vsn")))
		return a, err
	}
	if token == "" && m.cookies && !fromSamePage(r) {
		return a, errNoOrigin
	}
	if err = m.connect(r, &a, params, token, transport); err != nil {
		return a, err
	}
	if m.endpoint.registry.crowded(a.id) {
		return a, &StatusError{Status: http.StatusTooManyRequests}
	}
	return a, nil
}

// connect calls the application, whose panic refuses like an error.
func (m *mount) connect(r *http.Request, a *admission, params Params, token, transport string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = crash.Of(v)
			m.endpoint.logCrash("connect", err, "socket", m.kind.name)
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), m.cfg.Timeouts.Connect)
	defer cancel()
	start := time.Now()
	a.state, a.id, err = m.kind.connect(ctx, m.connectRequest(r, params, token))
	if err == nil {
		a.until, err = m.kind.until(a.state)
	}
	m.endpoint.log.Debug("connect", "socket", m.kind.name, "transport", transport, "version", a.version,
		"took", time.Since(start), "accepted", err == nil, slog.Any("params", logged(params)))
	return err
}

func (m *mount) connectRequest(r *http.Request, params Params, token string) *ConnectRequest {
	u := *r.URL
	u.Host, u.Scheme = r.Host, "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
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

// bearer begins the subprotocol that carries a token: despite its name in
// standard base64 without padding, as phoenix.js makes it.
const bearer = "base64url.bearer.phx."

// subprotocols takes the token out of the subprotocols that the client asks
// for, and chooses one of the others.
func (m *mount) subprotocols(r *http.Request, a *admission) (token string, ok bool) {
	offered := m.cfg.Subprotocols
	if m.cfg.AuthToken {
		offered = append([]string{"phoenix"}, offered...)
	}
	var asked []string
	bearers := 0
	for _, line := range r.Header.Values("Sec-Websocket-Protocol") {
		for _, p := range strings.Split(line, ",") {
			p = strings.TrimSpace(p)
			if enc, found := strings.CutPrefix(p, bearer); found && m.cfg.AuthToken {
				if bearers++; bearers > 1 {
					return "", false // which of them would count?
				}
				token = decodeToken(enc)
				continue
			}
			if p != "" {
				asked = append(asked, p)
			}
		}
	}
	if len(offered) == 0 || len(asked) == 0 {
		return token, true
	}
	for _, p := range offered {
		if slices.Contains(asked, p) {
			a.subprotocol = p
			return token, true
		}
	}
	return token, false
}

// maxToken bounds the token in bytes; a longer one counts as none.
const maxToken = 8 << 10

func decodeToken(enc string) string {
	if len(enc) > maxToken {
		return ""
	}
	enc = strings.TrimRight(enc, "=")
	raw, err := base64.RawStdEncoding.DecodeString(enc)
	if err != nil {
		if raw, err = base64.RawURLEncoding.DecodeString(enc); err != nil {
			return ""
		}
	}
	return string(raw)
}

// badHeader names what is wrong with an upgrade request (RFC 6455, 4.2.1).
func badHeader(r *http.Request) string {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return "HTTP version is not 1.1"
	case r.Host == "":
		return "'host' header is absent"
	case !hasToken(r.Header.Values("Connection"), "upgrade"):
		return "'connection' header must contain 'upgrade'"
	case !hasToken(r.Header.Values("Upgrade"), "websocket"):
		return "'upgrade' header must contain 'websocket'"
	case len(r.Header.Values("Sec-Websocket-Key")) != 1 || !validKey(r.Header.Get("Sec-Websocket-Key")):
		return "'sec-websocket-key' header is absent or malformed"
	case len(r.Header.Values("Sec-Websocket-Version")) != 1 || r.Header.Get("Sec-Websocket-Version") != "13":
		return badVersion
	}
	return ""
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for _, v := range strings.Split(line, ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
	}
	return false
}

func validKey(key string) bool {
	raw, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(raw) == 16
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// refuse answers without an upgrade and without telling more than body.
func refuse(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Cache-Control", "max-age=0, private, must-revalidate")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusBadRequest && body == badVersion {
		h.Set("Sec-WebSocket-Version", "13")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone: nothing to do then
}

const badVersion = "'sec-websocket-version' header must equal '13'"

// upgrade takes the connection over from net/http and gives it to a fresh
// goroutine, so that neither the server's buffers nor the stack on which the
// request was handled stay with it.
func (m *mount) upgrade(w http.ResponseWriter, r *http.Request, a admission) {
	e := m.endpoint
	key := r.Header.Get("Sec-Websocket-Key")
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.connectError.Add(1)
		e.log.Error("cannot take over the connection", "error", err)
		refuse(w, http.StatusInternalServerError, "")
		return
	}
	c := newConn(m, a)
	c.nc, c.raw = nc, rawConn(nc)
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n) // cannot fail: they are there
		c.early = append([]byte(nil), early...)
	}
	e.work.add()
	if !e.registry.add(&c.session, a.addr) {
		e.work.done()
		m.connectError.Add(1)
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		_ = nc.Close() // refused: nothing is owed
		return
	}
	m.connectOK.Add(1) // before the client can know
	if err := writeUpgrade(nc, key, a.subprotocol, m.cfg.Timeouts.Write); err != nil {
		c.leave()
		return
	}
	c.start(a.until)
}

func writeUpgrade(nc net.Conn, key, subprotocol string, timeout time.Duration) error {
	b := make([]byte, 0, 256)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, acceptKey(key)...)
	if subprotocol != "" {
		b = append(b, "\r\nSec-WebSocket-Protocol: "...)
		b = append(b, subprotocol...)
	}
	b = append(b, "\r\n\r\n"...)
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := nc.Write(b); err != nil {
		return err
	}
	return nc.SetWriteDeadline(time.Time{})
}
