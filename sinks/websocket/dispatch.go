package websocket

import (
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The events of the protocol itself.
const (
	topicPhoenix   = "phoenix"
	eventHeartbeat = "heartbeat"
	eventJoin      = "phx_join"
	eventLeave     = "phx_leave"
	eventClose     = "phx_close"
	eventError     = "phx_error"
)

// The replies and payloads that all sessions share.
var (
	replyUnmatched   = Fail(reasonOf{"unmatched topic"})
	replyTooMany     = Fail(reasonOf{"too many channels joined"})
	replyJoinCrashed = Fail(reasonOf{"join crashed"})
	replyTooLarge    = Fail(reasonOf{"reply too large"})
	payloadCrash     = codec.Payload{Data: []byte(`{"reason":"channel_crash"}`)}
	payloadEmpty     = codec.Payload{Data: []byte("{}")}
)

// maxName bounds the names of topics and events in bytes. A binary message has no
// room for longer ones.
const maxName = 255

// handle handles one message of the client, in the goroutine that reads.
func (s *session) handle(m codec.Message) {
	// A heartbeat belongs to no join, hence the empty join ref.
	if isHeartbeat(&m) {
		s.heartbeat(m.Ref)
		return
	}
	if m.Topic == topicPhoenix && m.Event == eventRenew && s.mount.kind.renew != nil {
		s.renew(m)
		return
	}
	ch := s.channel(m.Topic)
	switch {
	case m.Event == eventJoin:
		s.join(m, ch)
	// Phoenix confirms a leave of a topic that is not joined, and replies
	// "unmatched topic" to anything else.
	case ch == nil || ch.leaving:
		if m.Event == eventLeave {
			s.reply(m.JoinRef, m.Ref, m.Topic, OK(nil))
		} else {
			s.reply("", m.Ref, m.Topic, replyUnmatched)
		}
	// A message without a join ref, as version 1 sends it, is for whatever join
	// there is.
	case !m.JoinRef.IsNull() && (ch.nullJoin || m.JoinRef != ch.joinRef):
		// It is for an earlier join of the topic.
	case m.Event == eventLeave:
		// From here on messages of this join are refused; a new join is allowed.
		ch.leaving = true
		ch.take(mail{kind: mailLeave, ref: m.Ref})
	default:
		ch.take(mail{kind: mailIn, ref: m.Ref, event: m.Event, payload: Payload{Data: m.Payload, Binary: m.Binary}})
	}
}

// isHeartbeat reports whether a message is a heartbeat.
func isHeartbeat(m *codec.Message) bool { return m.Topic == topicPhoenix && m.Event == eventHeartbeat }

// heartbeat queues the reply to a heartbeat, before all that waits: a client with
// a long queue must not take the connection for dead.
func (s *session) heartbeat(ref codec.Ref) {
	w, err := replyWire(s.version, "", ref, topicPhoenix, OK(nil))
	if err == nil {
		_ = s.send(&item{wire: w, control: true, urgent: true}) // refused only if the connection closes
	}
}

// reply queues the reply to a message that belongs to no channel.
func (s *session) reply(joinRef, ref codec.Ref, topic string, r Reply) {
	w, err := replyWire(s.version, joinRef, ref, topic, r)
	if err != nil {
		s.endpoint().log.Error("reply cannot be encoded", "topic", clip(topic), "error", err)
		return
	}
	// Refused only if the connection closes.
	_ = s.send(&item{wire: w, control: true})
}

// channel returns the channel of a topic that has been joined, or is being joined
// or left, or nil.
func (s *session) channel(topic string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.channels {
		if ch.topic == topic {
			return ch
		}
	}
	return nil
}

// join handles phx_join. It returns when the handler has decided. Until then
// nothing else is read from the client.
func (s *session) join(m codec.Message, old *Channel) {
	mnt := s.mount
	// Joins that are refused cost as much.
	s.spend(mnt.cfg.Limits.JoinRate, 1)
	var rt *route
	if len(m.Topic) <= maxName && mnt.cfg.TopicAllowed(m.Topic) {
		rt = mnt.route(m.Topic)
	}
	if rt == nil {
		mnt.unmatched.Add(1)
		s.reply("", m.Ref, m.Topic, replyUnmatched)
		return
	}
	// As in Phoenix the old channel ends first, so that the two handlers do
	// not run at the same time. await bounds the wait.
	// A channel that is leaving ends by itself.
	if old != nil && !old.leaving {
		old.end(ErrDuplicateJoin)
	}
	if old != nil {
		old.await()
	}
	ch := &Channel{sess: s, route: rt, topic: m.Topic, joinRef: m.JoinRef, nullJoin: m.JoinRef.IsNull()}
	// Version 1 has no join ref: the ref of the join takes its place.
	if ch.nullJoin {
		ch.joinRef = m.Ref
	}
	s.mu.Lock()
	// The session has begun to end meanwhile, and endChannels would miss this one.
	if s.out.phase != open {
		s.mu.Unlock()
		return
	}
	total := s.endpoint().channels.Load()
	if len(s.channels) >= mnt.cfg.Limits.Channels || total >= int64(s.endpoint().cfg.Limits.Channels) {
		s.mu.Unlock()
		rt.fail.Add(1)
		s.reply(m.JoinRef, m.Ref, m.Topic, replyTooMany)
		s.closeOld(old)
		return
	}
	s.channels = append(s.channels, ch)
	s.mu.Unlock()
	// Close waits for the channel until its end.
	s.endpoint().work.add()
	s.endpoint().channels.Add(1)
	ch.join(m, old)
}

// closeOld sends the phx_close of a channel that a new join has replaced, after
// the reply to the new join, as Phoenix does.
func (s *session) closeOld(old *Channel) {
	if old == nil || old.leaving {
		return // a channel that was left has sent its phx_close
	}
	if w := old.controlWire(eventClose, payloadEmpty); w != nil {
		_ = s.enqueue(&item{wire: w, control: true}) // refused only if the connection closes
	}
}

// remove takes a channel out of the session, if it is there.
func (s *session) remove(ch *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.channels {
		if c == ch {
			last := len(s.channels) - 1
			// The order of the channels has no meaning.
			s.channels[i] = s.channels[last]
			s.channels[last] = nil
			s.channels = s.channels[:last]
			return
		}
	}
}
