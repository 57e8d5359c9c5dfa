package pubsub

// Message is one broadcast or delivery. All subscribers share it: Topic, Event and
// Payload must not be changed.
type Message struct {
	// Topic is where it was broadcast, Event what kind of message it is.
	Topic, Event string
	// Payload is the payload given to Broadcast, encoded: the same bytes on this
	// node and on others.
	Payload Payload

	// Memo belongs to the subscribers during one dispatch. The calls of Deliver
	// follow each other in one goroutine, so that the first can leave here what
	// the next ones need as well, such as an encoded frame. It must not be used
	// after Deliver has returned.
	Memo any

	tally *Tally // of a delivery
	more  *more
}

// more is what a message has that is kept, failed, or goes between nodes.
type more struct {
	err    error
	record Record
	epoch  string   // of the record
	wire   wire     // of a message from or for other nodes
	traced int      // spans that subscribers of this node have made for it
	after  []func() // called when it was offered to all subscribers of this node
}

// rest returns more, which it makes if needed. It is called before and during the
// dispatch, in the goroutine of the caller.
func (m *Message) rest() *more {
	if m.more == nil {
		m.more = &more{}
	}
	return m.more
}

func (m *Message) failure() error {
	if m.more == nil {
		return nil
	}
	return m.more.err
}

// Fail notes that no subscriber can get the message, for instance because its
// event is too long for the protocol. It may be called in Deliver only. The
// broadcast returns the first such error.
func (m *Message) Fail(err error) {
	if r := m.rest(); r.err == nil {
		r.err = err
	}
}

// Subscriber receives what is broadcast on the topics it has subscribed to.
type Subscriber interface {
	// Deliver is called in the goroutine that broadcasts, perhaps by several at
	// once. It must not block: the Broadcast of an endpoint of package websocket may
	// wait, that of the Hub does not wait for clients. It reports whether the
	// subscriber took the message.
	Deliver(m *Message) bool
}

// SubscriberFunc makes a function a [Subscriber].
type SubscriberFunc func(m *Message) bool

// Deliver calls f.
func (f SubscriberFunc) Deliver(m *Message) bool { return f(m) }
