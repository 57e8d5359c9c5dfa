package websocket

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
)

// servedKey names a request of another node.
type servedKey struct {
	node string
	id   uint64
}

// served is a request of another node for a session of this one. Request, complete
// and expiry are guarded by relays.mu.
type served struct {
	poll     *poll
	key      servedKey
	ctx      context.Context // of the request: ends when the client goes
	cancel   context.CancelFunc
	word     chan bool // whether the response was written; room for one
	request  gathered
	complete bool
	expiry   *time.Timer // forgets a request whose parts do not come
}

// receiveAsk takes a part of a request of another node.
func (rs *relays) receiveAsk(key servedKey, p *relayed) error {
	e := rs.mount.endpoint
	rs.mu.Lock()
	defer rs.mu.Unlock()
	s := rs.served[key]
	switch {
	case s == nil && p.head.At > 0, s != nil && s.complete, s != nil && p.head.At == 0:
		return errRelayPart
	case s == nil:
		session := e.polls.find(p.head.Token, rs.mount)
		if session == nil {
			e.spawn(func() { _, _ = rs.send(context.Background(), key.node, &relayed{kind: relayGone, id: key.id}) })
			return nil
		}
		s = &served{poll: session, key: key, word: make(chan bool, 1)}
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.expiry = time.AfterFunc(relayTimeout, func() { rs.expire(s) })
		rs.served[key] = s
	}
	complete, err := s.request.add(p, maxPost)
	if err == nil && e.bodyBytes.Add(int64(len(p.part))) > e.cfg.Limits.BodyBytes {
		e.bodyBytes.Add(-int64(len(p.part)))
		s.request.body = s.request.body[:p.head.At]
		rs.abandon(s)
		e.refusals.noteAt(s.request.head.Remote, rs.path(), refusedBodies, "", errBodies)
		no := relayed{kind: relayAnswer, id: key.id, head: relayHead{Status: http.StatusServiceUnavailable}}
		e.spawn(func() { _, _ = rs.send(context.Background(), key.node, &no) })
		return nil
	}
	if err != nil {
		rs.abandon(s)
		return err
	}
	if complete {
		s.complete = true
		s.expiry.Stop()
		e.spawn(func() { rs.serve(s) })
	}
	return nil
}

// expire forgets a request of which no further part has come.
func (rs *relays) expire(s *served) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !s.complete && rs.served[s.key] == s {
		rs.abandon(s)
	}
}

// abandon forgets a request that has not begun. The node that sent it waits in vain.
// The mutex is held.
func (rs *relays) abandon(s *served) {
	s.expiry.Stop()
	s.cancel()
	delete(rs.served, s.key)
	rs.mount.endpoint.bodyBytes.Add(-int64(len(s.request.body)))
}

// receiveWord takes what the node that the client has reached says of a request.
func (rs *relays) receiveWord(key servedKey, p *relayed) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	s := rs.served[key]
	if s == nil {
		return // it has ended meanwhile
	}
	if p.kind == relayCancel {
		s.cancel()
		return
	}
	select {
	case s.word <- p.head.Written:
	default:
	}
}

// serve handles a request as one that has reached this node.
func (rs *relays) serve(s *served) {
	m, head := rs.mount, &s.request.head
	body := &relayBody{e: m.endpoint, data: s.request.body}
	s.request.body = nil // nothing but body refers to it: no part comes any more
	w := &relayWriter{relays: rs, served: s, header: make(http.Header)}
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			m.endpoint.logCrash("connection", err, "socket", m.kind.name)
			s.poll.finish(&CrashError{Err: err})
		}
		s.cancel()
		body.release()
		rs.mu.Lock()
		delete(rs.served, s.key)
		rs.mu.Unlock()
	}()
	if _, err := rs.send(s.ctx, s.key.node, &relayed{kind: relayTaken, id: s.key.id}); err != nil {
		rs.note(relayLate, s.key.node, err)
		return
	}
	r := (&http.Request{
		Method: head.Method, URL: &url.URL{Path: rs.path()}, RemoteAddr: head.Remote,
		Header: http.Header{"Content-Type": {head.ContentType}}, Body: body, ContentLength: int64(len(body.data)),
	}).WithContext(s.ctx)
	if head.Method == http.MethodPost {
		s.poll.servePost(w, r)
	} else {
		s.poll.serveGet(w, r)
	}
	_ = w.FlushError() // nothing that could be lost
}

// relayBody is the body of a request of another node. Its bytes count towards
// EndpointLimits.BodyBytes until they are read, since the reader counts them too.
type relayBody struct {
	e    *Endpoint
	data []byte
}

// Read implements io.Reader.
func (b *relayBody) Read(buf []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(buf, b.data)
	b.data = b.data[n:]
	b.e.bodyBytes.Add(-int64(n))
	return n, nil
}

// Close implements io.Closer.
func (b *relayBody) Close() error { return nil }

// release gives back the bytes that nothing has read.
func (b *relayBody) release() {
	b.e.bodyBytes.Add(-int64(len(b.data)))
	b.data = nil
}

// relayWriter is the http.ResponseWriter of a request of another node: a flush sends
// the response there. It is used by the goroutine of serve only.
type relayWriter struct {
	relays   *relays
	served   *served
	header   http.Header
	status   int
	body     []byte
	sent     bool
	confirm  bool            // the response has messages
	replaced <-chan struct{} // closed when the client has come with another GET
}

// Header implements http.ResponseWriter.
func (w *relayWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *relayWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *relayWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, b...)
	return len(b), nil
}

// SetReadDeadline does nothing: the body is here.
func (w *relayWriter) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: the other node has deadlines of its own.
func (w *relayWriter) SetWriteDeadline(time.Time) error { return nil }

// FlushError sends the response, once. If it has messages the error is nil only if
// the other node has written it to the client.
func (w *relayWriter) FlushError() error {
	if w.sent {
		return nil
	}
	w.sent = true
	s := w.served
	head := relayHead{Status: w.status, Header: w.header, Confirm: w.confirm}
	// Also after the client has gone: then the other node says that it was not written.
	if err := w.relays.sendParts(context.Background(), s.key.node, relayed{kind: relayAnswer, id: s.key.id, head: head}, w.body); err != nil {
		w.relays.note(relayLate, s.key.node, err)
		return err
	}
	if !w.confirm {
		return nil
	}
	// The other node gives the client Timeouts.Write for each piece.
	pieces := time.Duration(len(w.body)/pollChunk + 1)
	timer := time.NewTimer(pieces*w.relays.mount.cfg.Timeouts.Write + relayTimeout)
	defer timer.Stop()
	replaced := w.replaced
	for {
		select {
		case written := <-s.word:
			if !written {
				return errNoWord
			}
			return nil
		case <-replaced:
			// The word may be on its way: clients come again once they have a response.
			replaced = nil
			timer.Reset(relayTimeout)
		case <-timer.C:
			w.relays.note(relayLate, s.key.node, errNoWord)
			return errNoWord
		}
	}
}
