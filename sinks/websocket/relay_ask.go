package websocket

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// asked is a request that another node handles. It is guarded by relays.mu.
type asked struct {
	id     uint64
	node   string
	wake   chan struct{} // holds a token when something has arrived
	taken  bool          // the node has the session
	gone   bool          // it has not
	done   bool          // the response is complete
	answer gathered

	told bool // the node knows what became of the response; owned by the goroutine of pass
}

// ask begins a request to another node.
func (rs *relays) ask(node string) *asked {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.lastID++
	a := &asked{id: rs.lastID, node: node, wake: make(chan struct{}, 1)}
	rs.asked[a.id] = a
	return a
}

// forget ends a request: an answer that comes later is refused, as is one of which
// only a part has come.
func (rs *relays) forget(a *asked) {
	rs.mu.Lock()
	delete(rs.asked, a.id)
	confirm := a.answer.head.Confirm && !a.told
	rs.mu.Unlock()
	if confirm {
		rs.sendWritten(a.node, a.id, false)
	}
}

// receiveAnswer takes what the node of a session sends.
func (rs *relays) receiveAnswer(from servedKey, p *relayed) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	a := rs.asked[from.id]
	if a == nil || a.node != from.node {
		// The request has ended here. A response would wait for its confirmation.
		if p.kind == relayAnswer && p.head.Confirm {
			rs.mount.endpoint.spawn(func() { rs.sendWritten(from.node, from.id, false) })
		}
		return nil
	}
	switch p.kind {
	case relayTaken:
		a.taken = true
	case relayGone:
		a.gone = true
	default:
		if a.done {
			return errRelayPart
		}
		complete, err := a.answer.add(p, maxRelayed)
		if err != nil {
			return err
		}
		a.taken, a.done = true, complete
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return nil
}

// sendWritten sends what became of a response, also if the request has ended.
func (rs *relays) sendWritten(node string, id uint64, written bool) {
	// Its loss ends the session, which is what its client would want.
	_, _ = rs.send(context.Background(), node, &relayed{kind: relayWritten, id: id, head: relayHead{Written: written}})
}

// pass passes a request to the node of its session and writes what that responds.
func (rs *relays) pass(w http.ResponseWriter, r *http.Request, node, token string) {
	m := rs.mount
	m.endpoint.work.add()
	defer m.endpoint.work.done()
	var body []byte
	if r.Method == http.MethodPost {
		b, err := m.readBody(w, r, nil)
		defer b.release()
		if err != nil {
			m.refuseBody(w, r, err)
			return
		}
		body = b.data
	}
	a := rs.ask(node)
	defer rs.forget(a)
	head := relayHead{Token: token, Method: r.Method, ContentType: r.Header.Get("Content-Type"), Remote: r.RemoteAddr}
	if err := rs.sendParts(r.Context(), node, relayed{kind: relayAsk, id: a.id, head: head}, body); err != nil {
		// A client with a live session that the backplane cannot reach gets a new one too.
		rs.fail(w, r, relayNotThere, node, err)
		return
	}
	rs.await(r, a)
	rs.mu.Lock()
	taken, gone, done := a.taken, a.gone, a.done
	rs.mu.Unlock() // what is complete is not changed any more
	switch {
	case done:
		rs.write(w, r, a)
	case gone:
		rs.results[relayNotThere].Add(1) // what happens to any session that is over needs no line
		m.answerOver(w, r)
	case r.Context().Err() != nil:
		rs.results[relayClientEnd].Add(1)
	case taken && r.Method == http.MethodPost:
		// Its messages may be handled or not.
		rs.note(relayLate, node, errNoWord)
		_ = m.answerPoll(w, pollAnswer{Status: pollTimeout})
	default:
		rs.fail(w, r, relayLate, node, errNoWord)
	}
}

// await waits until the response is complete, or none will come.
func (rs *relays) await(r *http.Request, a *asked) {
	timer := time.NewTimer(relayTimeout)
	defer timer.Stop()
	stopping, ended, taken := rs.stopping, r.Context().Done(), false
	cancel := func() {
		_, _ = rs.send(context.Background(), a.node, &relayed{kind: relayCancel, id: a.id})
	}
	for {
		select {
		case <-a.wake:
			rs.mu.Lock()
			over, now := a.done || a.gone, a.taken
			rs.mu.Unlock()
			if over {
				return
			}
			if now && !taken {
				taken = true
				timer.Reset(rs.mount.cfg.LongPoll.Window + relayTimeout)
			}
		case <-timer.C:
			cancel()
			return
		case <-ended:
			cancel()
			return
		case <-stopping:
			// The other node responds at once, with messages if it has some.
			stopping = nil
			if r.Method == http.MethodGet {
				cancel()
			}
		}
	}
}

// write writes a response that is complete.
func (rs *relays) write(w http.ResponseWriter, r *http.Request, a *asked) {
	head := &a.answer.head
	if head.Status == 0 {
		// The request was cancelled here, and nothing was lost.
		rs.results[relayAnswered].Add(1)
		_ = rs.mount.answerPoll(w, pollAnswer{Status: pollNothing, Token: pollToken(r)})
		return
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "Connection", "Retry-After", "X-Content-Type-Options"} {
		if values := head.Header.Values(name); len(values) > 0 {
			w.Header()[name] = values
		}
	}
	if head.Status != http.StatusOK && head.Status >= 100 && head.Status <= 599 {
		rs.mount.writeUntil(w, time.Now().Add(rs.mount.cfg.Timeouts.Write))
		w.WriteHeader(head.Status)
	}
	err := rs.mount.writePoll(w, a.answer.body)
	if head.Confirm {
		a.told = true
		rs.sendWritten(a.node, a.id, err == nil)
	}
	if err != nil {
		rs.results[relayClientEnd].Add(1)
		return
	}
	rs.results[relayAnswered].Add(1)
}

// fail responds to a request whose session cannot be reached as if it were over.
func (rs *relays) fail(w http.ResponseWriter, r *http.Request, result, node string, err error) {
	rs.note(result, node, err)
	rs.mount.answerOver(w, r)
}

// note counts and logs a request that the node of its session has not handled.
func (rs *relays) note(result, node string, err error) {
	rs.results[result].Add(1)
	rs.log.Log(rs.mount.endpoint.log, slog.LevelWarn, "long-poll request not handled by the node of its session", "node", node, "error", err)
}
