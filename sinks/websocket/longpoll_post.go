package websocket

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// servePost handles messages of the client, in the order in which they were
// sent.
func (p *poll) servePost(w http.ResponseWriter, r *http.Request) {
	// min before the product, so that Unlimited does not overflow.
	limit := min(int64(p.mount.cfg.Limits.MessageBytes), maxPost) * maxLines
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, min(limit, maxPost)))
	if err != nil {
		refuse(w, http.StatusBadRequest, "")
		return
	}
	// A body of any other content type is one text message.
	messages := []posted{{data: data}}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-ndjson" {
		if messages, err = splitLines(data); err != nil {
			refuse(w, http.StatusBadRequest, "")
			return
		}
	}
	// The messages are handled in another goroutine, since a join can take
	// longer than the client waits for the response. Room for one lets it end
	// after a timeout.
	done := make(chan bool, 1)
	p.endpoint().spawn(func() { done <- p.handleAll(r, messages) })
	timer := time.NewTimer(p.mount.cfg.LongPoll.Window)
	defer timer.Stop()
	a := pollAnswer{Status: pollOK}
	select {
	case ok := <-done:
		if !ok {
			a.Status = pollGone
		}
	case <-timer.C:
		a.Status = pollTimeout
	}
	_ = answerPoll(w, a) // the client may be gone
}

// posted is one message of a POST.
type posted struct {
	data   []byte
	binary bool
}

// splitLines splits a body into its lines. Lines that begin with "[" are text,
// the others binary data in base64.
func splitLines(data []byte) ([]posted, error) {
	list := make([]posted, 0, min(bytes.Count(data, []byte("\n"))+1, maxLines))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(list) == maxLines {
			break // as Phoenix does
		}
		if line[0] == '[' {
			list = append(list, posted{data: line})
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil {
			return nil, err
		}
		list = append(list, posted{data: raw, binary: true})
	}
	return list, nil
}

// handleAll handles messages until the request ends. It returns false if the
// session is over, or if a message has ended it.
func (p *poll) handleAll(r *http.Request, messages []posted) bool {
	p.handling.Lock()
	defer p.handling.Unlock()
	defer func() {
		if v := recover(); v != nil {
			err := crash.Of(v)
			p.endpoint().logCrash("connection", err, "socket", p.mount.kind.name)
			p.finish(&CrashError{Err: err})
		}
	}()
	// In order, in this goroutine: that of the session that reads.
	for _, m := range messages {
		if r.Context().Err() != nil || p.isClosing() {
			return !p.isClosing()
		}
		if err := p.pace(); err != nil {
			p.finish(ErrClosed)
			return false
		}
		p.spend(p.mount.cfg.Limits.ByteRate, len(m.data))
		// As over WebSocket, where the close code says so. Here the session
		// just ends.
		if len(m.data) > p.mount.cfg.Limits.MessageBytes {
			p.finish(ErrClosed)
			return false
		}
		message, err := codec.Decode(p.version, m.binary, m.data)
		if err != nil {
			p.endpoint().log.Debug("session closed", "socket", p.mount.kind.name, "reason", err)
			p.finish(ErrClosed)
			return false
		}
		p.handle(message)
	}
	return true
}
