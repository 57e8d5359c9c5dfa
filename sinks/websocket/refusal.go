package websocket

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstock-go/penstock/metrics"
)

// The reasons of websocket.refused.
const (
	refusedMethod      = "method"
	refusedHost        = "host"
	refusedOrigin      = "origin"
	refusedNoOrigin    = "no_origin"
	refusedSubprotocol = "subprotocol"
	refusedVersion     = "version"
	refusedParams      = "params"
	refusedConnect     = "connect"
	refusedHandshake   = "handshake"
	refusedShutdown    = "shutdown"
	refusedRate        = "connect_rate"
	refusedConnections = "connections"
	refusedAddress     = "per_address"
	refusedID          = "per_id"
	refusedBody        = "body"
	refusedBodies      = "bodies"
	refusedHeaders     = "headers"
	refusedPlaintext   = "plaintext"
	refusedRequests    = "requests"
	refusedWaiting     = "waiting"
	refusedHung        = "hung"
)

// refusal is why a client may not connect. The client sees the status and one of
// refusalTexts.
type refusal struct {
	reason string
	sample string // what the client sent, for the log
	err    error
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the error, which can be a *StatusError.
func (r *refusal) Unwrap() error { return r.err }

// statusRefusal returns a refusal with an HTTP status of its own, whose body says
// why.
func statusRefusal(reason string, status int) error {
	return &refusal{reason: reason, err: &StatusError{Status: status, Body: refusalTexts[reason]}}
}

// refusalTexts are the bodies of refusals, for people, for logs and for clients that
// are no browsers: a browser shows its page no response. They name the kind, and
// nothing of what the client sent or of what the application found: all refusals of
// its Connect look alike.
var refusalTexts = map[string]string{
	refusedMethod:      "not a GET request without a body",
	refusedHost:        "host not allowed",
	refusedOrigin:      "origin not allowed",
	refusedNoOrigin:    "neither origin nor token",
	refusedSubprotocol: "no common subprotocol",
	refusedVersion:     "protocol version not supported",
	refusedParams:      "malformed parameters",
	refusedConnect:     "refused",
	refusedShutdown:    "server shuts down",
	refusedRate:        "too many attempts to connect",
	refusedConnections: "too many connections",
	refusedAddress:     "too many connections from this address",
	refusedID:          "too many connections of this user",
	refusedHung:        "server does not keep up",
}

// refusalText returns the body of a refusal. The application can choose its own with
// a *StatusError.
func refusalText(err error) string {
	var status *StatusError
	if errors.As(err, &status) && status.Body != "" {
		return status.Body
	}
	var why *refusal
	if errors.As(err, &why) {
		return refusalTexts[why.reason]
	}
	return refusalTexts[refusedConnect]
}

// maxRetryAfter bounds the header Retry-After in seconds.
const maxRetryAfter = 10

// retryAfter sets the header for a refusal that is about the load, spread at
// random so that the clients do not all come back in one moment.
func retryAfter(h http.Header, status int) {
	if h.Get("Retry-After") != "" {
		return // the caller knows better
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(maxRetryAfter)))
	}
}

// refusals counts what is refused, and logs at most one line a second for each
// reason.
type refusals struct {
	metrics metrics.Recorder
	log     *slog.Logger

	mu   sync.Mutex
	kind map[string]*refusedKind // guarded by mu; there are few reasons
}

// refusedKind is what was refused for one reason.
type refusedKind struct {
	counter metrics.Counter
	next    time.Time // when a line may be logged again
	silent  int       // refusals since the last line
}

// note counts a refusal. sample is what the client sent, or ""; err is nil or says
// more than the reason.
func (rs *refusals) note(r *http.Request, reason, sample string, err error) {
	rs.noteAt(r.RemoteAddr, r.URL.Path, reason, sample, err)
}

// noteAt counts the refusal of a request, or of a connection without one.
func (rs *refusals) noteAt(remote, path, reason, sample string, err error) {
	now := time.Now()
	rs.mu.Lock()
	k := rs.kind[reason]
	if k == nil {
		if rs.kind == nil {
			rs.kind = make(map[string]*refusedKind)
		}
		k = &refusedKind{counter: rs.metrics.Counter("websocket.refused", metrics.Tag{Key: "reason", Value: reason})}
		rs.kind[reason] = k
	}
	k.counter.Add(1)
	line := !now.Before(k.next)
	silent := k.silent
	if line {
		k.next, k.silent = now.Add(time.Second), 0
	} else {
		k.silent++
	}
	// The lock is not held while the log is written.
	rs.mu.Unlock()
	if !line {
		return
	}
	attrs := []any{"reason", reason, "remote", clip(remote)}
	if path != "" {
		attrs = append(attrs, "path", clip(path))
	}
	if sample != "" {
		attrs = append(attrs, "sample", clip(sample))
	}
	if err != nil {
		attrs = append(attrs, "error", clip(err.Error()))
	}
	if silent > 0 {
		attrs = append(attrs, "left_out", silent)
	}
	rs.log.Warn("request refused", attrs...)
}

// refused counts and logs why a client may not connect. err is what admit
// returned.
func (m *mount) refused(r *http.Request, err error) {
	m.connectError.Add(1)
	var why *refusal
	if errors.As(err, &why) {
		m.endpoint.refusals.note(r, why.reason, why.sample, why.err)
		return
	}
	// The error of the application's Connect.
	m.endpoint.refusals.note(r, refusedConnect, "", err)
}
