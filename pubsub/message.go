package pubsub

// Message is one broadcast. It is shared by all who receive it, so that nobody
// may change Topic, Event or Payload.
type Message struct {
	// Topic is where it was broadcast, Event what kind it is.
	Topic, Event string
	// Payload is the payload given to Broadcast, encoded: the same bytes on this
	// node and on others.
	Payload Payload

	// Memo belongs to the subscribers for the time of one dispatch: the calls
	// of Deliver follow each other in one goroutine, so the first can leave
	// here what the next ones need as well, such as the encoded form. It must
	// not be touched once Deliver has returned.
	Memo any

	tally *Tally // of a delivery
	more  *more
}

// more is what few messages have.
type more struct {
	err    error
	record Record
	epoch  string // of the record
	wire   wire   // of a message from or for other nodes
}

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

// Fail tells the one who broadcasts that the message cannot be delivered to
// anybody, for instance because its payload cannot be encoded. It may be called
// from Deliver only, and its first error is what the broadcast answers.
func (m *Message) Fail(err error) {
	if r := m.rest(); r.err == nil {
		r.err = err
	}
}

// Subscriber receives what is broadcast on the topics it has subscribed to.
type Subscriber interface {
	// Deliver is called in the goroutine of the one who broadcasts, perhaps by
	// several at once. It must not block. It answers whether it took the message.
	Deliver(m *Message) bool
}

// SubscriberFunc makes a function a [Subscriber].
type SubscriberFunc func(m *Message) bool

// Deliver calls f.
func (f SubscriberFunc) Deliver(m *Message) bool { return f(m) }
