package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"weak"
)

// History keeps what was broadcast on some topics, so that a subscriber that
// was away can get what it missed. [Memory] is the history of one process; a
// store that nodes share can take its place.
type History interface {
	// Append is called for each broadcast before it is offered to a subscriber: so
	// a subscriber that has a message finds it, and all before it, in the history.
	// If the topic keeps history Append calls m.Keep. After an error no subscriber
	// gets the message. It may block until ctx is done. It is called for messages
	// of other nodes too: a shared store has kept those already, at
	// m.OriginPosition.
	Append(ctx context.Context, m *Message) error
	// Since returns what was broadcast on topic after a position, the oldest
	// first: all of it, or [ErrEpoch] or [ErrTrimmed] if some is missing, or
	// [ErrNotKept]. now is the position of the last broadcast, also with the first
	// two errors. It may block until ctx is done.
	Since(ctx context.Context, topic string, after Position) (records []Record, now Position, err error)
	// Keeps reports whether the topic keeps history. It does not block and does
	// not call the hub, which may hold a lock.
	Keeps(topic string) bool
	// Lost is called when messages of other nodes on a topic, on any topic if it
	// is empty, may not have reached this node. A history that this node alone
	// writes returns [ErrEpoch] for earlier positions from then on; a shared store
	// has nothing to do. It does not block.
	Lost(topic string)
}

// SubscribedHistory is a [History] that is told which of its topics have a
// subscription, so that it does not forget the position of a topic that
// subscribers follow.
type SubscribedHistory interface {
	History
	// Subscribed notes that a topic that keeps history has its first subscription
	// on a hub, or has lost its last one there: calls for a topic alternate. It
	// does not block and does not call the hub, which may hold a lock.
	Subscribed(topic string, subscribed bool)
}

// Position is a place in the history of a topic: right after the message with
// this offset.
type Position struct {
	// Epoch names one unbroken sequence of offsets: a history that began anew, as
	// after a restart, has another one.
	Epoch string
	// Offset grows by one with each message kept, from 1; 0 is the beginning.
	Offset uint64
}

// Errors of a [History].
var (
	// ErrEpoch: the position is of another epoch, or ahead of this one.
	ErrEpoch = errors.New("pubsub: position of another epoch")
	// ErrTrimmed: what came after the position is not there any more.
	ErrTrimmed = errors.New("pubsub: history does not reach back to the position")
	// ErrNotKept: the topic keeps no history.
	ErrNotKept = errors.New("pubsub: topic keeps no history")
	// ErrNotObject: the payload is binary. A history keeps JSON objects only, so
	// that a position can be added to them.
	ErrNotObject = errors.New("pubsub: payload of a topic with history is not a JSON object")
)

// Record is a message that was kept.
type Record struct {
	Offset uint64
	Event  string
	// Data is the payload, a JSON object. It is shared and must not be changed.
	Data json.RawMessage

	from weak.Pointer[Subscription] // weak: a record must not hold a connection
}

// From reports whether the message was a BroadcastFrom of s, which s must not
// get. Only the process that made the broadcast knows that.
func (r *Record) From(s *Subscription) bool {
	return s != nil && r.from == weak.Make(s)
}

// Keep is called by a [History] in Append: it makes the record of m at a
// position and stores it in m for the subscribers.
func (m *Message) Keep(at Position) Record {
	rest := m.rest()
	r := &rest.record
	r.Offset, r.Event, r.Data = at.Offset, m.Event, m.Payload.Data
	rest.epoch = at.Epoch
	return *r
}

// Position returns where m stands in the history of its topic, if that keeps one.
func (m *Message) Position() (at Position, kept bool) {
	if m.more == nil {
		return Position{}, false
	}
	return Position{Epoch: m.more.epoch, Offset: m.more.record.Offset}, m.more.record.Offset > 0
}

// Record returns the record of m if its topic keeps history.
func (m *Message) Record() (r Record, kept bool) {
	if m.more == nil {
		return Record{}, false
	}
	return m.more.record, m.more.record.Offset > 0
}

// private begins topics of parts of a program that talk to each other. No client
// can name them, since it is not valid UTF-8.
const private = "\xff"

// keep gives m to the history.
func (h *Hub) keep(ctx context.Context, m *Message, from *Subscription) error {
	if h.history == nil || strings.HasPrefix(m.Topic, private) {
		return nil
	}
	if from != nil {
		m.rest().record.from = weak.Make(from)
	}
	return h.history.Append(ctx, m)
}
