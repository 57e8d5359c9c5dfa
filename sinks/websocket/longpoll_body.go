package websocket

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// Why the body of a POST is not taken.
var (
	errLines    = errors.New("websocket: more messages in a POST than are allowed")
	errBodies   = errors.New("websocket: too many bytes of bodies at once")
	errBodyOver = errors.New("websocket: session over while its body was read")
)

// postStatus returns the HTTP status for an error of a body.
func postStatus(err error) int {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errLines), errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errBodies):
		return http.StatusServiceUnavailable
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}

// pollBody is the body of a POST. Its bytes count towards
// EndpointLimits.BodyBytes, as they arrive, until release.
type pollBody struct {
	e    *Endpoint
	from io.Reader
	data []byte
	held int64
}

// readBody reads the body of a POST within Timeouts.Message: for p, whose turn the
// caller has, or for a session of another node if p is nil. The body must be
// released, also after an error.
func (m *mount) readBody(w http.ResponseWriter, r *http.Request, p *poll) (*pollBody, error) {
	// min before the product, so that Unlimited does not overflow.
	limit := min(min(int64(m.cfg.Limits.MessageBytes), maxPost)*maxLines, maxPost)
	b := &pollBody{e: m.endpoint, from: http.MaxBytesReader(w, r.Body, limit)}
	if r.ContentLength > limit {
		// Known before a byte is read.
		w.Header().Set("Connection", "close")
		return b, &http.MaxBytesError{Limit: limit}
	}
	m.readUntil(w, time.Now().Add(m.cfg.Timeouts.Message))
	if p != nil && !p.startReading(w) {
		return b, errBodyOver
	}
	var err error
	b.data, err = io.ReadAll(b)
	if p != nil {
		p.stopReading()
	}
	if err != nil {
		// The rest of the body is not read as the next request.
		w.Header().Set("Connection", "close")
		return b, err
	}
	// While the messages are handled, the server watches for the client's end
	// without a deadline.
	m.readUntil(w, time.Time{})
	return b, nil
}

// Read implements io.Reader.
func (b *pollBody) Read(buf []byte) (int, error) {
	n, err := b.from.Read(buf)
	b.held += int64(n)
	if b.e.bodyBytes.Add(int64(n)) > b.e.cfg.Limits.BodyBytes {
		return n, errBodies
	}
	return n, err
}

// release gives the bytes back, once nothing refers to the data any more.
func (b *pollBody) release() {
	b.e.bodyBytes.Add(-b.held)
	b.held, b.data = 0, nil
}

// startReading remembers the request whose body is read, so that the end of the
// session cuts it off. It returns false if the session is over.
func (p *poll) startReading(w http.ResponseWriter) bool {
	p.visits.Lock()
	p.reading = w
	p.visits.Unlock()
	// finish may have run before: then abort has not seen it.
	if p.isOver() {
		p.stopReading()
		return false
	}
	return true
}

// stopReading is called before the request ends: its ResponseWriter must not be
// used after that.
func (p *poll) stopReading() {
	p.visits.Lock()
	p.reading = nil
	p.visits.Unlock()
}
