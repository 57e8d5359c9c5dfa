package websocket

import (
	"bytes"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/internal/crash"
)

// servePost handles messages of the client, in the order in which they were
// sent. A session reads one body at a time and has handled it before the next, so
// that it holds one body at most; other POSTs wait with theirs unread.
func (p *poll) servePost(w http.ResponseWriter, r *http.Request) {
	timer := time.NewTimer(p.mount.cfg.LongPoll.Window)
	defer timer.Stop()
	if status := p.waitTurn(r, timer.C); status != pollOK {
		w.Header().Set("Connection", "close") // the body is not read
		_ = p.mount.answerPoll(w, pollAnswer{Status: status})
		return
	}
	b, err := p.mount.readBody(w, r, p)
	var messages []posted
	if err == nil {
		messages, err = splitBody(r, b.data)
	}
	if err != nil {
		b.release()
		<-p.turn
		p.mount.refuseBody(w, r, err)
		return
	}
	// The messages are handled in another goroutine, since a join can take
	// longer than the client waits for the response. Room for one lets it end
	// after a timeout.
	done := make(chan bool, 1)
	p.endpoint().spawn(func() {
		defer func() { <-p.turn }()
		defer b.release()
		ok := p.handleAll(r, messages)
		b.release() // before the response: the client's next body is not refused for this one
		done <- ok
	})
	a := pollAnswer{Status: pollOK}
	select {
	case ok := <-done:
		if !ok {
			a.Status = pollGone
		}
	case <-timer.C:
		a.Status = pollTimeout
	}
	_ = p.mount.answerPoll(w, a) // the client may be gone
}

// refuseBody responds to a POST whose body is not taken.
func (m *mount) refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	reason := refusedBody
	if errors.Is(err, errBodies) {
		reason = refusedBodies
	}
	m.endpoint.refusals.note(r, reason, "", err)
	refuse(w, postStatus(err), "")
}

// waitTurn waits until no other POST of the session is read or handled. It returns
// pollOK if the caller has the turn, which it must give back, and the status of
// the response otherwise.
func (p *poll) waitTurn(r *http.Request, timeout <-chan time.Time) int {
	select {
	case p.turn <- struct{}{}:
	case <-timeout:
		return pollTimeout
	case <-r.Context().Done():
		return pollTimeout
	}
	if p.isClosing() {
		<-p.turn
		return pollGone
	}
	return pollOK
}

// posted is one message of a POST.
type posted struct {
	data   []byte
	binary bool
}

// splitBody returns the messages of a body. A body of another content type than
// application/x-ndjson is one text message.
func splitBody(r *http.Request, data []byte) ([]posted, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-ndjson" {
		return splitLines(data)
	}
	return []posted{{data: data}}, nil
}

// splitLines splits a body into its lines, maxLines at most. Lines that begin with "[" are text,
// the others binary data in base64.
func splitLines(data []byte) ([]posted, error) {
	list := make([]posted, 0, min(bytes.Count(data, []byte("\n"))+1, maxLines))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(list) == maxLines {
			return nil, errLines // Phoenix ignores the rest in silence
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
		if _, err := p.pace(); err == errEnding {
			return false
		} else if err != nil {
			p.finish(ErrClosed)
			return false
		}
		p.spend(p.mount.cfg.Limits.ByteRate, len(m.data))
		// As over WebSocket, where the close code says so. Here the session
		// just ends.
		var breach *protocolError
		if len(m.data) > p.mount.cfg.Limits.MessageBytes {
			breach = errTooBig
		} else if err := p.receiveMessage(m.data, m.binary); err != nil {
			breach = &protocolError{ws.StatusInternalServerError, err.Error()}
		}
		if breach != nil {
			p.endpoint().breach(p.mount, breach)
			p.holdOff(r.Context())
			p.finish(ErrClosed)
			return false
		}
	}
	return true
}
