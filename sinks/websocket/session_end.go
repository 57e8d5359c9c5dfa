package websocket

import (
	"encoding/json"
	"log/slog"

	"github.com/gobwas/ws"

	"github.com/penstock-go/penstock/pubsub"
)

// tryAgainLater is the close code for a client that was too slow.
const tryAgainLater ws.StatusCode = 1013

// begin makes the session reachable by its id, and bounds its time.
// It is called once, after the registry has the session and before it reads.
func (s *session) begin(a admission) {
	// The timers come first, since a session without an id needs them too.
	s.watch(a.until)
	// A session without an id cannot be disconnected by a broadcast.
	if s.id == "" {
		return
	}
	sub, err := s.endpoint().hub.Subscribe(s.id, (*disconnectReceiver)(s))
	if err != nil {
		return // the hub is closed: no broadcast can reach the id either
	}
	s.mu.Lock()
	over := s.out.phase == closed // Close has cut the connection off before it began
	if !over {
		s.idSub = sub
	}
	s.mu.Unlock()
	if over {
		sub.Unsubscribe()
	} else if s.endpoint().disconnects.since(s.id, a.order) {
		s.close(ws.StatusGoingAway, ErrDisconnected, true)
	}
}

// replace closes a session whose id has a newer connection, as CloseOldest asks.
// It does nothing for nil.
func (s *session) replace() {
	if s == nil {
		return
	}
	e := s.endpoint()
	e.replaced.Add(1)
	e.replacedLog.Log(e.log, slog.LevelInfo, "connection replaced", "socket", s.mount.kind.name)
	s.close(closeReplaced, ErrReplaced, true)
}

// disconnectReceiver is a session as a subscriber of the topic of its id.
type disconnectReceiver session

// Deliver closes the connection if it is told to disconnect, or ends a channel.
func (r *disconnectReceiver) Deliver(m *pubsub.Message) bool {
	s := (*session)(r)
	switch m.Event {
	case eventDisconnect:
		// What was queued before is still sent.
		s.close(ws.StatusGoingAway, ErrDisconnected, true)
		return true
	case eventKick:
		var k kick
		if json.Unmarshal(m.Payload.Data, &k) != nil {
			return false
		}
		ch := s.channel(k.Topic)
		if ch != nil {
			ch.end(ErrKicked)
		}
		return ch != nil
	}
	return false
}

// close begins the end of the session: the channels end with reason, nothing
// more is queued, and the close frame goes out after what waits, or in its
// place if flush is false. The caller holds no lock.
func (s *session) close(code ws.StatusCode, reason error, flush bool) {
	var do effects
	s.mu.Lock()
	s.out.close(code, reason, flush, &do)
	s.mu.Unlock()
	// False if the end has begun already: the first code and reason stay.
	if do.closing {
		s.act(&do)
		s.hangUp(do.wake, reason)
	}
}

// closeBack begins the end of the session after the client's close frame.
func (s *session) closeBack(code ws.StatusCode) {
	var do effects
	s.mu.Lock()
	s.out.leave(code, &do)
	s.mu.Unlock()
	if do.closing {
		s.act(&do)
		s.hangUp(do.wake, ErrClosed)
	}
}

// hangUp lets the transport send the close frame, and ends the channels.
func (s *session) hangUp(wake bool, reason error) {
	if wake {
		s.tr.wake(true)
	}
	s.tr.hangUp()
	s.endChannels(reason)
}

// finish ends the session at once. It is idempotent.
func (s *session) finish(reason error) {
	var do effects
	s.mu.Lock()
	s.out.finish(reason, &do)
	if do.closed {
		s.unwatch()
	}
	// The reason of an earlier close takes precedence over that of this call.
	reason = s.out.ended
	sub := s.idSub
	s.mu.Unlock()
	if !do.closed {
		return
	}
	// Once, by the call that closed the outbox.
	// Without the mutex, as the transport may wait for a lock of its own.
	reads := s.tr.abort()
	sub.Unsubscribe()
	s.act(&do)
	if reads && !revokes(reason) {
		s.loseClient(reason)
	} else {
		s.endChannels(reason)
	}
}

// depart takes a session that has ended out of the registry. Channels whose
// handlers still run are remembered.
func (s *session) depart() {
	e := s.endpoint()
	s.mu.Lock()
	for ch := range s.channels.all() {
		e.stragglers.add(ch) // with the mutex held, so that conclude comes later
	}
	s.mu.Unlock()
	e.registry.remove(s)
	e.work.done()
}

// endChannels makes all channels end. The caller holds no lock.
func (s *session) endChannels(reason error) {
	for _, ch := range s.everyChannel() {
		ch.end(reason)
	}
}

// loseClient notes that the connection is broken while a goroutine may still pass on
// what it has read. The caller holds no lock.
func (s *session) loseClient(reason error) {
	for _, ch := range s.everyChannel() {
		ch.clientGone(reason)
	}
}

// everyChannel returns a copy of the list of channels, since Channel.mu comes first
// in the lock order.
func (s *session) everyChannel() []*Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels.copied()
}

// isClosing reports whether the end has begun: nothing more is queued.
func (s *session) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.phase != open
}

// isDeaf reports whether messages of the client are not handled any more: the end has
// begun, and not because the connection broke after they had come.
func (s *session) isDeaf() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deaf()
}

// deaf is isDeaf with the mutex held.
func (s *session) deaf() bool { return s.out.phase != open && !s.out.broken }

// isOver reports whether the end is complete: nothing is written any more.
func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.phase == closed
}
