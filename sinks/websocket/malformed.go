package websocket

import (
	"errors"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// receiveMessage decodes a message of the client and handles it, in the goroutine
// that reads. The error is for one that does not have the form of the protocol,
// which must end the connection. One that has the form and exceeds a limit gets an
// error reply, since its client would otherwise send it again after each connect.
func (s *session) receiveMessage(data []byte, binary bool) error {
	m, err := s.format.decode(data, binary, s.mount.cfg.Limits.JSONDepth)
	detail := exceeds(err)
	if err != nil && detail == nil {
		return err
	}
	switch {
	// Replies need room, also those to what is refused. The session ends meanwhile.
	case !s.awaitRoom(roomFor(&m)):
		if !isHeartbeat(&m) {
			s.endpoint().discarded[discardedUnhandled].Add(1)
		}
	case detail != nil:
		s.refuseMessage(m, detail)
	default:
		s.handle(m)
	}
	return nil
}

// exceeds returns the error of a message that has the form of the protocol and exceeds a
// limit, or nil.
func exceeds(err error) *codec.DecodeError {
	if err == nil { // the usual case allocates nothing
		return nil
	}
	var detail *codec.DecodeError
	if !errors.As(err, &detail) || !detail.WellFormed {
		return nil
	}
	return detail
}

// refuseMessage replies to a message that exceeds a limit of the codec. The reply
// names the limit, and nothing of the message.
func (s *session) refuseMessage(m codec.Message, why *codec.DecodeError) {
	// A join that is refused here costs as much as any other.
	if m.Event == eventJoin {
		s.spend(s.mount.cfg.Limits.JoinRate, 1)
	}
	s.rejected(rejectedMalformed, m.Topic, "event", clip(m.Event), "limit", why.Reason, "offset", why.Offset)
	// Without a ref the client waits for no reply.
	if !m.Ref.IsNull() {
		s.reply(m.JoinRef, m.Ref, m.Topic, Fail(malformedReply{"malformed message", why.Reason}))
	}
}

// malformedReply is the response to a message that exceeds a limit.
type malformedReply struct {
	Reason string `json:"reason"`
	Limit  string `json:"limit"`
}
