package channeltest

import (
	"encoding/json"
	"slices"
	"time"
)

// Channel is a topic that a client has joined. Methods whose names begin with
// Assert or Refute fail the test.
type Channel struct {
	c     *Client
	topic string
	// The ref of the join. The server repeats it in what belongs to this join,
	// so that messages of an earlier join of the topic do not match.
	joinRef string
	// Reply is the response to the join.
	Reply json.RawMessage
}

// Push is a message that the client has sent.
type Push struct {
	c *Client
	// The ref that the reply will carry.
	ref          string
	topic, event string
}

// replyPayload is the payload of a phx_reply in a text. A binary reply has the
// status among its fields and no such object.
type replyPayload struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
}

// Join joins a topic. A refusal fails the test.
func (c *Client) Join(topic string, payload any) *Channel {
	c.t.Helper()
	ch, status, response := c.TryJoin(topic, payload)
	if status != "ok" {
		c.t.Fatalf("join %s: %s %s", topic, status, response)
	}
	return ch
}

// TryJoin joins a topic and returns the reply, whatever its status. A Channel whose
// join was refused receives nothing; use it only to assert that.
func (c *Client) TryJoin(topic string, payload any) (ch *Channel, status string, response json.RawMessage) {
	c.t.Helper()
	ref := c.ref()
	c.send(ref, ref, topic, "phx_join", payload)
	p := &Push{c: c, ref: ref, topic: topic, event: "phx_join"}
	status, response = p.Reply()
	return &Channel{c: c, topic: topic, joinRef: ref, Reply: response}, status, response
}

// Push sends an event. It does not wait for the reply, which need not be asserted.
// A payload that is a websocket.Binary is sent in a binary message.
func (ch *Channel) Push(event string, payload any) *Push {
	ch.c.t.Helper()
	ref := ch.c.ref()
	ch.c.send(ch.joinRef, ref, ch.topic, event, payload)
	return &Push{c: ch.c, ref: ref, topic: ch.topic, event: event}
}

// Leave leaves the topic and asserts that the server confirms it.
func (ch *Channel) Leave() {
	ch.c.t.Helper()
	ch.Push("phx_leave", nil).AssertReply("ok", nil)
	ch.AssertClosed()
}

// Reply waits for the reply. If none comes the test fails. The response is nil if
// it is binary.
func (p *Push) Reply() (status string, response json.RawMessage) {
	p.c.t.Helper()
	status, response, _ = p.reply()
	return status, response
}

// reply waits for the reply, of which either response or binary is set.
func (p *Push) reply() (status string, response json.RawMessage, binary []byte) {
	p.c.t.Helper()
	// The ref alone is not enough: a reply to another topic could carry the
	// same one by mistake.
	m, ok := p.c.await(Timeout, func(m *message) bool { return m.event == "phx_reply" && m.ref == p.ref && m.topic == p.topic })
	if !ok {
		p.c.t.Fatalf("no reply to %s on %s%s", p.event, p.topic, p.c.seen())
	}
	if m.binary != nil {
		return m.status, nil, m.binary
	}
	var r replyPayload
	if err := json.Unmarshal(m.payload, &r); err != nil {
		p.c.t.Fatalf("reply to %s: %v", p.event, err)
	}
	return r.Status, r.Response, nil
}

// AssertReply asserts that the reply has this status, "ok" or "error", and this
// response.
func (p *Push) AssertReply(status string, response any) {
	p.c.t.Helper()
	gotStatus, got, binary := p.reply()
	same, err := alike(response, got, binary)
	if err != nil || !same || gotStatus != status {
		p.c.t.Fatalf("reply to %s: %s %s%x %v, want %s %+v", p.event, gotStatus, got, binary, err, status, response)
	}
}

// RefuteReply asserts that no reply comes within d.
func (p *Push) RefuteReply(d time.Duration) {
	p.c.t.Helper()
	if m, ok := p.c.await(d, func(m *message) bool { return m.event == "phx_reply" && m.ref == p.ref }); ok {
		p.c.t.Fatalf("reply to %s: %s%x", p.event, m.payload, m.binary)
	}
}

// AssertPush asserts that the server pushes this event to this client alone: a push
// carries the join ref, a broadcast does not.
func (ch *Channel) AssertPush(event string, payload any) {
	ch.c.t.Helper()
	ch.assert(event, payload, func(m *message) bool { return m.joinRef == ch.joinRef })
}

// AssertBroadcast asserts that this event is broadcast on the topic. On a
// resumable topic the offset in the payload is ignored.
func (ch *Channel) AssertBroadcast(event string, payload any) {
	ch.c.t.Helper()
	ch.assert(event, payload, func(m *message) bool {
		// On a resumable topic each client has a frame of its own, with its
		// join ref and the offset.
		return m.joinRef == "" || (m.joinRef == ch.joinRef && withoutOffset(m))
	})
}

// assert waits for an event with this payload for which match returns true. match
// may change the message.
func (ch *Channel) assert(event string, payload any, match func(m *message) bool) {
	ch.c.t.Helper()
	_, ok := ch.c.await(Timeout, func(m *message) bool {
		if m.topic != ch.topic || m.event != event {
			return false
		}
		// match changes a copy: a message that does not match stays in the
		// inbox as it came.
		whole := *m
		if m = &whole; !match(m) {
			return false
		}
		same, err := alike(payload, m.payload, m.binary)
		return err == nil && same
	})
	if !ok {
		ch.c.t.Fatalf("no %s with %+v on %s%s", event, payload, ch.topic, ch.c.seen())
	}
}

// Refute asserts that the event does not come within d, neither pushed nor
// broadcast.
func (ch *Channel) Refute(event string, d time.Duration) {
	ch.c.t.Helper()
	if m, ok := ch.c.await(d, func(m *message) bool { return m.topic == ch.topic && m.event == event }); ok {
		ch.c.t.Fatalf("%s came on %s: %s%x", event, ch.topic, m.payload, m.binary)
	}
}

// Received returns the payloads of this event that have come and that no
// assertion has taken, in order, and takes them. It does not wait. A binary
// payload is returned as nil.
func (ch *Channel) Received(event string) (payloads []json.RawMessage) {
	c := ch.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = slices.DeleteFunc(c.inbox, func(m message) bool {
		if m.topic != ch.topic || m.event != event {
			return false
		}
		payloads = append(payloads, m.payload)
		return true
	})
	return payloads
}

// AssertClosed asserts that the server closes the channel, with a phx_close whose
// ref is the join ref. phoenix.js does not join again then.
func (ch *Channel) AssertClosed() {
	ch.c.t.Helper()
	ch.assert("phx_close", nil, func(m *message) bool { return m.joinRef == ch.joinRef && m.ref == ch.joinRef })
}

// AssertCrashed asserts that the channel crashes, with a phx_error, after which
// phoenix.js joins again. The payload tells the client no cause.
func (ch *Channel) AssertCrashed() {
	ch.c.t.Helper()
	ch.assert("phx_error", map[string]string{"reason": "channel_crash"}, func(m *message) bool { return m.joinRef == ch.joinRef && m.ref == ch.joinRef })
}
