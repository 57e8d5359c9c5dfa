package websocket

import (
	"errors"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// How far control messages may exceed the bounds of the queue before a message of
// the client is held. A heartbeat and a ping are held later, so that a client which
// takes long to read its replies still learns that the connection lives.
const (
	roomForMessages   = 1
	roomForHeartbeats = 2
)

// roomFor returns the room that a message needs.
func roomFor(m *codec.Message) int {
	if isHeartbeat(m) {
		return roomForHeartbeats
	}
	return roomForMessages
}

// full returns a channel that is closed when a message of the client that must be
// held may go on, or nil if it need not be held. Then the caller asks again.
func (s *session) full(times int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.out.held
	if !s.out.hold(times, s.endpoint().pressed()) {
		return nil
	}
	if !before {
		s.endpoint().held.Add(1)
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return s.room
}

// awaitRoom holds a message of the client for as long as it must be. The goroutine
// that reads calls it, and with it TCP holds up the client. It returns false if the
// session has begun to end.
func (s *session) awaitRoom(times int) bool {
	for {
		room := s.full(times)
		if room == nil {
			return !s.isDeaf()
		}
		<-room // closed by the progress of writing and by the end of the session
	}
}

// makeRoom lets all held messages go on.
func (s *session) makeRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// nil if the one that was held has not come to wait.
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// awaitRoom holds an event of the client before its handler gets it. It returns
// false if the channel ends.
func (ch *Channel) awaitRoom() bool {
	for {
		room := ch.sess.full(roomForMessages)
		if room == nil || ch.ends() && ch.stopping() == nil { // the reply goes nowhere
			return true
		}
		select {
		case <-room:
		case <-(*channelContext)(ch).Done():
		}
		if ch.stopping() != nil {
			return false
		}
	}
}

// isTooLarge reports whether err is a *TooLargeError.
func isTooLarge(err error) bool {
	if err == nil { // the usual case allocates nothing
		return false
	}
	var large *TooLargeError
	return errors.As(err, &large)
}

// tooLarge counts and logs a message that is larger than the queue.
func (s *session) tooLarge(what string, err error) {
	s.endpoint().discarded[discardedTooLarge].Add(1)
	s.endpoint().log.Warn(what+" too large", "socket", s.mount.kind.name, "error", err)
}
