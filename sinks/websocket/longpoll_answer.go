package websocket

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// pollChunk is what a client must take within Timeouts.Write, in bytes. A
// response is written in pieces of this size, each with a deadline of its own, so
// that a slow client gets a long response and one that takes nothing does not.
const pollChunk = 16 << 10

// answerPoll writes a response. Its error means that the messages in it may be
// lost.
func (m *mount) answerPoll(w http.ResponseWriter, a pollAnswer) error {
	// Only a nil slice is encoded as null.
	if a.Messages == nil {
		a.Messages = []string{}
	}
	if remote, ok := w.(*relayWriter); ok {
		remote.confirm = len(a.Messages) > 0
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	return m.writePoll(w, body)
}

// writePoll writes the body of a response. Its error means that the client may not
// have it.
func (m *mount) writePoll(w http.ResponseWriter, body []byte) error {
	// All is written by the flush: nothing is left that would need a deadline.
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	for len(body) > 0 {
		m.writeUntil(w, time.Now().Add(m.cfg.Timeouts.Write))
		n, err := w.Write(body[:min(len(body), pollChunk)])
		if err != nil {
			return err
		}
		body = body[n:]
	}
	// A flush shows whether the client has gone. Without it its messages would
	// count as written.
	err := http.NewResponseController(w).Flush()
	// A ResponseWriter that cannot flush: the write counts.
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	// The deadline must not hold for the next request over the connection.
	m.writeUntil(w, time.Time{})
	return nil
}

// readUntil sets the deadline for reading the body of a request; the zero time
// means none. It takes precedence over a ReadTimeout of the server.
func (m *mount) readUntil(w http.ResponseWriter, at time.Time) {
	m.endpoint.checkDeadline(http.NewResponseController(w).SetReadDeadline(at))
}

// writeUntil sets the deadline for writing to the client; the zero time means
// none. It takes precedence over a WriteTimeout of the server.
func (m *mount) writeUntil(w http.ResponseWriter, at time.Time) {
	m.endpoint.checkDeadline(http.NewResponseController(w).SetWriteDeadline(at))
}

// checkDeadline logs, once, that requests reach the endpoint through a
// ResponseWriter that cannot set deadlines: a wrapper of a middleware that has no
// Unwrap. Other errors are those of a connection that is closed.
func (e *Endpoint) checkDeadline(err error) {
	if errors.Is(err, http.ErrNotSupported) {
		e.noDeadline.Do(func() {
			e.log.Warn("long poll without deadlines: the ResponseWriter is wrapped and has no Unwrap method")
		})
	}
}
