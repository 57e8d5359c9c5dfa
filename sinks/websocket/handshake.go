package websocket

import (
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// admission is what the checks before the upgrade have found.
type admission struct {
	format      *format
	extension   string // for the response; "" means none
	version     string // vsn, for the log
	subprotocol string // for the response; "" means none
	state       any
	id          string
	addr        netip.Addr // of the client
	until       time.Time  // the end of the credentials; zero if they do not end
	order       admittance // what disconnects.begin has returned
	// What Connect has returned, if the connection is made only to say so: there is no
	// state and no id then.
	refused *StatusError
}

// serveWebSocket checks a request in the order in which Phoenix does (method,
// origin, subprotocol, version, connect callback, WebSocket headers), so that a
// client that may not connect learns nothing else, and upgrades it.
func (m *mount) serveWebSocket(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	if r.Method != http.MethodGet || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		// A body would be read as frames, and the bytes after it as a request.
		m.endpoint.refusals.note(r, refusedMethod, r.Method, nil)
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, refusalTexts[refusedMethod])
		return
	}
	order := m.endpoint.disconnects.begin()
	defer m.endpoint.disconnects.end(order)
	a, err := m.admit(r, vars, "websocket")
	a.order = order
	if err != nil {
		m.refused(r, err)
		var status *StatusError
		switch {
		case !errors.As(err, &status):
			refuse(w, http.StatusForbidden, refusalText(err))
		case status.CloseCode >= 4000 && status.CloseCode <= 4999 && badHeader(r) == "":
			a.refused = status
			m.upgrade(w, r, a)
		case status.Status >= 400 && status.Status <= 599:
			refuse(w, status.Status, refusalText(err))
		default:
			refuse(w, http.StatusForbidden, refusalText(err))
		}
		return
	}
	// After Connect, as in Phoenix, so that only admitted clients see these texts.
	if bad := badHeader(r); bad != "" {
		m.refused(r, &refusal{reason: refusedHandshake, err: errors.New(bad)})
		refuse(w, http.StatusBadRequest, bad)
		return
	}
	m.upgrade(w, r, a)
}

// Reasons for the log. The client sees refusalTexts.
var (
	errOrigin      = errors.New("websocket: origin not allowed")
	errNoOrigin    = errors.New("websocket: neither origin nor token where cookies count")
	errSubprotocol = errors.New("websocket: no common subprotocol")
)

// admit decides whether a client may connect over a transport, before anything
// is made for it. The cheap checks come first, the application's Connect last.
func (m *mount) admit(r *http.Request, vars map[string]string, transport string) (admission, error) {
	var a admission
	// Before the query is parsed: a flood of requests costs little.
	if err := m.endpoint.arrive(r, &a); err != nil {
		return a, err
	}
	query := r.URL.RawQuery
	if transport == "longpoll" {
		query = connectQuery(query)
	}
	params, ok := parseParams(query)
	if !ok {
		return a, statusRefusal(refusedParams, http.StatusBadRequest)
	}
	for k, v := range vars {
		// The path wins over the query: a client cannot override its variables.
		params[k] = v
	}
	if !originAllowed(r, m.cfg.Origin) {
		return a, &refusal{refusedOrigin, strings.Join(r.Header.Values("Origin"), ", "), errOrigin}
	}
	token, err := m.takeToken(r, &a, transport)
	if err != nil {
		return a, &refusal{reason: refusedSubprotocol, err: err}
	}
	a.version = clip(params.Get("vsn"))
	if a.format, err = m.choose(a.subprotocol, params.Get("vsn")); err != nil {
		return a, &refusal{refusedVersion, params.Get("vsn"), err}
	}
	// A browser sends cookies with requests of foreign pages too. Without a
	// token, the request must name the page that made it.
	if token == "" && m.cookies && !fromSamePage(r) {
		return a, &refusal{reason: refusedNoOrigin, err: errNoOrigin}
	}
	if err = m.connect(r, &a, params, token, transport); err != nil {
		return a, err
	}
	// Only a first look: add checks again under the same lock as it counts.
	if m.endpoint.registry.crowded(a.id) {
		return a, statusRefusal(refusedID, http.StatusTooManyRequests)
	}
	return a, nil
}

// arrive checks what depends on the load and on the client's address only.
func (e *Endpoint) arrive(r *http.Request, a *admission) error {
	// Close was called: a load balancer may still send clients here.
	if e.closing.Load() {
		return statusRefusal(refusedShutdown, http.StatusServiceUnavailable)
	}
	// Called once; the registry later counts the same address.
	a.addr = e.cfg.ClientAddress(r)
	e.checkAddress(r, a.addr)
	// The rate counts attempts, also those that are refused later.
	if !e.arrivals.allow(a.addr, e.uptime()) {
		return statusRefusal(refusedRate, http.StatusTooManyRequests)
	}
	if e.hungConnects.full("", math.MaxInt) {
		return statusRefusal(refusedHung, http.StatusServiceUnavailable)
	}
	if reason := e.registry.full(a.addr); reason != "" {
		return statusRefusal(reason, http.StatusServiceUnavailable)
	}
	return nil
}

// badHeader returns what is wrong with an upgrade request (RFC 6455, 4.2.1), or
// "".
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

// hasToken reports whether a token is in a comma-separated header, in any case.
func hasToken(lines []string, token string) bool {
	// A header may be sent in several lines (RFC 9110, 5.3).
	for _, line := range lines {
		for _, v := range strings.Split(line, ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
	}
	return false
}

// validKey reports whether a Sec-WebSocket-Key is 16 bytes in base64.
func validKey(key string) bool {
	raw, err := base64.StdEncoding.DecodeString(key)
	// RFC 6455, 4.1: a nonce of 16 bytes.
	return err == nil && len(raw) == 16
}

// refuse responds without an upgrade and with nothing but body. A wrong WebSocket
// version gets the supported one in a header (RFC 6455, 4.2.2).
func refuse(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	refusalHeader(h, status)
	if status == http.StatusBadRequest && body == badVersion {
		h.Set("Sec-WebSocket-Version", "13")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone: nothing to do then
}

// refusalHeader sets the headers of a refusal.
func refusalHeader(h http.Header, status int) {
	h.Set("Cache-Control", "max-age=0, private, must-revalidate")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	retryAfter(h, status)
}

const badVersion = "'sec-websocket-version' header must equal '13'"
