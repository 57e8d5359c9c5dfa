package websocket

import (
	"context"
	"errors"
	"time"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The application-defined close codes for sessions that must end.
const (
	closeExpired   ws.StatusCode = 4001
	closeNotJoined ws.StatusCode = 4002
	closeReplaced  ws.StatusCode = 4409
)

// eventRenew carries new credentials, on the topic "phoenix".
const eventRenew = "renew"

var replyNotRenewed = Fail(reasonOf{"not renewed"})

// rareSession holds what most sessions do not have.
type rareSession struct {
	throttled time.Time // when the client began to be held back; owned by the reader

	// Guarded by the session's mutex.
	unjoined *time.Timer // ends a session without a join
	expires  time.Time   // including the grace
	expiry   *time.Timer
	ending   chan struct{} // closed when the end begins; nil until a goroutine waits for it
}

// more returns rare, and makes it first if there is none. It is called before the
// session begins and by the goroutine that reads.
func (s *session) more() *rareSession {
	if s.rare == nil {
		s.mu.Lock()
		s.rare = &rareSession{} // other goroutines read it under the mutex
		s.mu.Unlock()
	}
	return s.rare
}

// watch starts the timers of a session that begins.
func (s *session) watch(until time.Time) {
	// Without the timeout, the default, most sessions have no rareSession.
	if d := s.mount.cfg.Timeouts.Unjoined; d < NoTimeout {
		r := s.more()
		s.mu.Lock()
		if s.out.phase != closed {
			r.unjoined = time.AfterFunc(d, func() { s.close(closeNotJoined, ErrNotJoined, true) })
		}
		s.mu.Unlock()
	}
	s.expireAt(until)
}

// settled notes that a topic was joined: the first one stops the timer of
// Timeouts.Unjoined.
func (s *session) settled() {
	if s.mount.cfg.Timeouts.Unjoined == NoTimeout {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.rare.unjoined; t != nil {
		t.Stop()
		s.rare.unjoined = nil
	}
}

// expireAt bounds the life of the session by that of its credentials. A zero end
// means that they do not expire. The goroutine that reads calls it, and begin
// before there is one.
func (s *session) expireAt(end time.Time) {
	if end.IsZero() && (s.rare == nil || s.rare.expiry == nil) {
		return
	}
	r := s.more()
	s.mu.Lock()
	defer s.mu.Unlock()
	// A timer that has fired already finds the new time in expires.
	if r.expiry != nil {
		r.expiry.Stop()
		r.expiry = nil
	}
	if end.IsZero() || s.out.phase == closed {
		r.expires = time.Time{}
		return
	}
	// The grace is included, so that expire compares with one time.
	r.expires = end.Add(s.mount.cfg.Timeouts.ExpiryGrace)
	r.expiry = time.AfterFunc(time.Until(r.expires), s.expire)
}

// expire closes a session whose credentials have expired. It runs in the timer's
// goroutine.
func (s *session) expire() {
	s.mu.Lock()
	due := s.rare.expires
	s.mu.Unlock()
	if !due.IsZero() && !time.Now().Before(due) { // otherwise it was renewed just now
		s.close(closeExpired, ErrExpired, true)
	}
}

// unwatch stops the timers. The mutex is held.
func (s *session) unwatch() {
	if s.rare == nil {
		return
	}
	for _, t := range []*time.Timer{s.rare.unjoined, s.rare.expiry} {
		if t != nil {
			t.Stop()
		}
	}
}

// renew handles new credentials. All refusals look alike to the client.
func (s *session) renew(m codec.Message) {
	state, until, err := s.callRenew(Payload{Data: m.Payload, Binary: m.Binary})
	if err != nil {
		s.rejected(rejectedRenew, m.Topic, "error", clip(err.Error()))
		s.reply("", m.Ref, m.Topic, replyNotRenewed)
		return
	}
	s.mu.Lock()
	// Only after all checks: a refused renewal changes nothing.
	s.state = state
	// A copy: Channel.mu comes before session.mu in the lock order, and take
	// can block.
	channels := s.channels.copied()
	s.mu.Unlock()
	s.expireAt(until)
	for _, ch := range channels {
		if ch.ends() { // the handler of a join that timed out may not be set yet
			continue
		}
		if _, ok := ch.handler.(RenewHandler); ok {
			ch.take(mail{kind: mailRenew, value: state})
		}
	}
	// After the handlers have the mail, though they may handle it later.
	s.reply("", m.Ref, m.Topic, OK(nil))
}

var (
	errHung      = errors.New("websocket: too many calls of the application do not return")
	errOtherUser = errors.New("websocket: credentials of another socket id")
	errTooLate   = errors.New("websocket: credentials have expired already")
)

// callRenew calls the application's Renew. The state must keep its socket id, under
// which the session is known.
func (s *session) callRenew(p Payload) (state any, until time.Time, err error) {
	if s.endpoint().hung.full(s.id, s.mount.cfg.Limits.Channels) {
		return nil, until, errHung
	}
	// No context of a request is at hand: that of the upgrade has ended.
	most := s.mount.cfg.Timeouts.Connect
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	var found struct { // of that goroutine until the call has returned
		state any
		until time.Time
	}
	was := s.state
	call := s.endpoint().own(&s.endpoint().hung, s.id, func() error {
		state, id, err := s.mount.kind.renew(ctx, was, p)
		// Limits.PerID and the topic for disconnecting go by the id: it cannot change.
		if err == nil && id != s.id {
			err = errOtherUser
		}
		if err == nil {
			found.state = state
			found.until, err = s.mount.kind.until(state)
		}
		return err
	})
	if !s.wait(call.done, max(most, most+lateness), cancel) {
		if s.isDeaf() {
			call.hang()
			return nil, until, ErrClosed // and the context ends
		}
		s.endpoint().log.Warn("Renew does not end", "socket", s.mount.kind.name, "hung", call.hang())
		return nil, until, context.DeadlineExceeded
	}
	if call.crashed() {
		s.endpoint().logCrash("renew", call.err, "socket", s.mount.kind.name)
	}
	if call.err != nil {
		return nil, until, call.err
	}
	return found.state, found.until, nil
}
