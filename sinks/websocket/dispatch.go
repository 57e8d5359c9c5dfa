package websocket

import (
	"slices"

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
	replyKicked      = Fail(reasonOf{"kicked"})
	replyJoinRate    = Fail(reasonOf{"too many joins"})
	replyHung        = Fail(reasonOf{"too many handlers do not end"})
	replyTimeout     = Fail(reasonOf{"join timed out"})
	payloadCrash     = codec.Payload{Data: []byte(`{"reason":"channel_crash"}`)}
	payloadKicked    = codec.Payload{Data: []byte(`{"reason":"kicked"}`)}
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
	case ch == nil || ch.leaving:
		s.replyNotJoined(m)
	// A message without a join ref, as version 1 sends it, is for whatever join
	// there is.
	case !m.JoinRef.IsNull() && (ch.nullJoin || m.JoinRef != ch.joinRef):
		// It is for an earlier join of the topic: ignored, as in Phoenix.
		s.rejected(rejectedStale, m.Topic, "event", clip(m.Event))
	case m.Event == eventLeave:
		// From here on messages of this join are refused; a new join is allowed.
		ch.leaving = true
		if !ch.take(mail{kind: mailLeave, ref: m.Ref}) {
			s.replyNotJoined(m)
		}
	default:
		if !ch.take(mail{kind: mailIn, ref: m.Ref, event: m.Event, payload: Payload{Data: m.Payload, Binary: m.Binary}}) {
			s.replyNotJoined(m)
		}
	}
}

// replyNotJoined replies to a message on a topic that is not joined, or whose
// channel ends. Phoenix confirms a leave, and replies "unmatched topic" to
// anything else.
func (s *session) replyNotJoined(m codec.Message) {
	if m.Event == eventLeave {
		s.reply(m.JoinRef, m.Ref, m.Topic, OK(nil))
	} else {
		s.rejected(rejectedUnmatched, m.Topic, "event", clip(m.Event))
		s.reply("", m.Ref, m.Topic, replyUnmatched)
	}
}

// isHeartbeat reports whether a message is a heartbeat.
func isHeartbeat(m *codec.Message) bool { return m.Topic == topicPhoenix && m.Event == eventHeartbeat }

// heartbeat queues the reply to a heartbeat, before all that waits: a client with
// a long queue must not take the connection for dead.
func (s *session) heartbeat(ref codec.Ref) {
	w, err := s.format.reply(nil, "", ref, topicPhoenix, OK(nil))
	if err == nil {
		_ = s.send(&item{wire: w, control: true, urgent: true}) // refused only if the connection closes
	}
}

// reply queues the reply to a message that belongs to no channel.
func (s *session) reply(joinRef, ref codec.Ref, topic string, r Reply) {
	w, err := s.format.reply(nil, joinRef, ref, topic, r)
	if err != nil {
		s.endpoint().log.Error("reply cannot be encoded", "topic", clip(topic), "error", err)
		return
	}
	// Refused only if the connection closes.
	_ = s.send(&item{wire: w, control: true})
}

// channel returns the channel of a topic that has been joined, or is being joined
// or left, or whose handler still terminates, or nil.
func (s *session) channel(topic string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.channels.all() {
		if ch.topic == topic && !ch.abandoned {
			return ch
		}
	}
	return nil
}

// join handles phx_join. It returns when the handler has decided. Until then
// nothing else is read from the client.
func (s *session) join(m codec.Message, old *Channel) {
	mnt := s.mount
	// Those that are refused for another reason cost as much.
	if !s.mayJoin() {
		s.rejected(rejectedJoinRate, m.Topic, "limit", mnt.cfg.Limits.JoinRate)
		s.reply(m.JoinRef, m.Ref, m.Topic, replyJoinRate)
		return
	}
	var rt *route
	why := rejectedTopic
	if len(m.Topic) <= maxName && mnt.cfg.TopicAllowed(m.Topic) {
		rt, why = mnt.route(m.Topic), rejectedUnmatched
	}
	if rt == nil {
		mnt.unmatched.Add(1)
		s.rejected(why, m.Topic, "event", eventJoin)
		s.reply("", m.Ref, m.Topic, replyUnmatched)
		return
	}
	// The old channel ends first, and its HandleTerminate returns, so that a handler
	// finds what the one before it has given back. await bounds the wait.
	if old != nil {
		if !old.leaving { // otherwise it ends by itself
			old.end(ErrDuplicateJoin)
		}
		old.await()
	}
	ch := &Channel{sess: s, route: rt, topic: m.Topic, joinRef: m.JoinRef, nullJoin: m.JoinRef.IsNull(), running: true}
	// Version 1 has no join ref: the ref of the join takes its place.
	if ch.nullJoin {
		ch.joinRef = m.Ref
	}
	if no := s.makeWay(); no != nil {
		rt.fail.Add(1)
		s.rejected(no.why, m.Topic, "option", no.option, "limit", no.limit)
		s.reply(m.JoinRef, m.Ref, m.Topic, no.reply)
		s.closeOld(old)
		return
	}
	s.mu.Lock()
	// The session has begun to end meanwhile, and endChannels would miss this one.
	if s.out.phase != open {
		s.mu.Unlock()
		return
	}
	s.channels.add(ch)
	s.mu.Unlock()
	// Close waits for the channel until its end.
	s.endpoint().work.add()
	s.endpoint().channels.Add(1)
	ch.join(m, old)
}

// noRoom is why one more channel is not allowed: which option has been reached.
type noRoom struct {
	why    rejection
	reply  Reply
	option string
	limit  int
}

// makeWay returns nil if one more channel is allowed. At a limit it first waits for a
// channel that ends: a client may leave one topic and join another in one breath.
// Handlers that hang count, since they cost as much.
func (s *session) makeWay() *noRoom {
	e := s.endpoint()
	most := s.mount.cfg.Limits.Channels
	if e.hung.full(s.id, Unlimited) {
		return &noRoom{rejectedHung, replyHung, "EndpointLimits.HungHandlers", e.hung.limit}
	}
	if e.hung.full(s.id, most) {
		return &noRoom{rejectedHung, replyHung, "Limits.Channels", most}
	}
	for {
		if s.isDeaf() { // one that ends joins nothing
			return nil
		}
		if s.channelsFull() == nil {
			return nil
		}
		ch := s.anyEnding()
		if ch == nil {
			return s.channelsFull() // one may have ended since
		}
		ch.await()
	}
}

// channelsFull returns the limit of channels that has been reached, or nil.
func (s *session) channelsFull() *noRoom {
	s.mu.Lock()
	n, hangs := 0, false
	for ch := range s.channels.all() {
		n++
		hangs = hangs || ch.abandoned
	}
	s.mu.Unlock()
	no := noRoom{why: rejectedChannels, reply: replyTooMany}
	if hangs {
		no.why, no.reply = rejectedHung, replyHung
	}
	if no.limit = s.mount.cfg.Limits.Channels; n >= no.limit {
		no.option = "Limits.Channels"
		return &no
	}
	if no.limit = s.endpoint().cfg.Limits.Channels; s.endpoint().channels.Load() >= int64(no.limit) {
		no.option = "EndpointLimits.Channels"
		return &no
	}
	return nil
}

// anyEnding returns a channel that ends and has not been abandoned, or nil.
func (s *session) anyEnding() *Channel {
	s.mu.Lock()
	// A copy, since Channel.mu comes before session.mu in the lock order.
	channels := slices.DeleteFunc(s.channels.copied(), func(ch *Channel) bool { return ch.abandoned })
	s.mu.Unlock()
	for _, ch := range channels {
		if ch.leaving || ch.ends() {
			return ch
		}
	}
	return nil
}

// closeOld sends the phx_close of a channel that a new join has replaced, after
// the reply to the new join, as Phoenix does.
func (s *session) closeOld(old *Channel) {
	if old == nil || old.why() != ErrDuplicateJoin {
		return // it has sent its phx_close or phx_error itself
	}
	if w := old.controlWire(eventClose, payloadEmpty); w != nil {
		_ = s.enqueue(&item{wire: w, control: true}) // refused only if the connection closes
	}
}

// remove takes a channel that is over out of the session.
func (s *session) remove(ch *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels.remove(ch)
}
