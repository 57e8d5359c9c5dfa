package pubsub

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The reasons for which no subscriber has a delivery, as Report.Err holds them,
// from the mildest to the worst. Of several subscribers the worst decides.
var (
	// ErrNoSubscriber: the topic has no subscriber that takes deliveries.
	ErrNoSubscriber = errors.New("pubsub: topic has no subscriber")
	// ErrUnfit: no subscriber can ever take this message, for instance binary
	// over a connection that carries text only.
	ErrUnfit = errors.New("pubsub: message is not fit for its subscribers")
	// ErrGone: the subscribers that took the message ended before they had it.
	ErrGone = errors.New("pubsub: subscribers ended before they had the message")
	// ErrNoAnswer: no subscriber of this node has the message, and it is not known
	// about other nodes: it could not be sent to them, or not all of them answered
	// within Config.RemoteTimeout, or one of them left before it did.
	ErrNoAnswer = errors.New("pubsub: other nodes did not answer")
	// ErrFull: a subscriber has no room now. The message can be delivered when
	// it has room again, which [Hub.Watch] reports.
	ErrFull = errors.New("pubsub: subscriber has no room")
	// ErrSuperseded: a newer message took the place of this one.
	ErrSuperseded = errors.New("pubsub: superseded by a newer message")
)

// ranks orders the reasons. An error that is none of them counts as ErrGone.
var ranks = [...]error{ErrNoSubscriber, ErrUnfit, ErrGone, ErrNoAnswer, ErrFull, ErrSuperseded}

const rankGone = 2

func rankOf(err error) int32 {
	for i := len(ranks) - 1; i >= 0; i-- {
		if errors.Is(err, ranks[i]) {
			return int32(i)
		}
	}
	return rankGone
}

// Report is the end of a delivery.
type Report struct {
	// At is when the first subscriber had the message; zero if Err is set.
	At time.Time
	// Err is nil if a subscriber has the message. Otherwise it is the reason for
	// which none has it and none will have it: ErrNoSubscriber, ErrUnfit,
	// ErrGone, ErrFull or ErrSuperseded; or ErrNoAnswer, if one may have it. With
	// other nodes ErrFull and ErrSuperseded are certain of one subscriber only: of
	// another node that did not answer, one may have it.
	Err error
	// Kept is set if the history of the topic has the message, on this node or on
	// another one. Delivering it again would number it a second time.
	Kept bool
}

// Deliver offers a message to the subscriptions of topic, as Broadcast does, and
// reports what became of it: done is called exactly once, when the first
// subscriber has the message, or when it is certain that none will have it.
// For a subscriber that is a socket, to have it means that it was written.
//
// done can be called before Deliver returns, in the same goroutine. Otherwise it
// is called in the goroutine of the subscriber that reported last. It must not
// block: what the subscriber does next waits for it. If Deliver returns an error,
// no subscriber was offered the message and done is never called.
//
// A delivery that begins before an earlier one on its topic has returned can overtake
// it, even if that has been reported: a caller that needs the order waits for the report
// and for the return.
//
// On a topic that keeps history the message is numbered and kept only if the
// topic has a subscription at that moment; without one the report is
// ErrNoSubscriber and nothing is kept, so that delivering again later does not
// leave the message in the history twice. A message that was kept says so in
// Report.Kept.
//
// With a [Remote] the message goes to the other nodes as well. Each of them
// replies once, when its first subscriber has the message or none there will. The
// delivery ends with the first node that has it, or when all nodes have answered
// that they do not; without those answers it ends after Config.RemoteTimeout with
// ErrNoAnswer.
//
// If ctx names a span of a sampled trace, the message carries it to the subscribers of all
// nodes, see [Message.TraceContext]. A nil done is refused with an [*OptionError].
func (h *Hub) Deliver(ctx context.Context, topic, event string, payload any, done func(Report)) error {
	if done == nil {
		return hubOwner.Refuse("done", nil, "a function")
	}
	if h.closed.Load() {
		return ErrClosed
	}
	p, err := encodeOwned(payload)
	if err != nil {
		return err
	}
	if h.remote != nil {
		return h.deliverEverywhere(ctx, &Message{Topic: topic, Event: event, Payload: p}, done)
	}
	d := newDelivery(&delivery{}, topic, event, p, done)
	d.carry(ctx)
	if _, err := h.offer(ctx, d); err != nil {
		return err
	}
	d.tally.Report(time.Time{}, ErrNoSubscriber)
	return nil
}

// delivery is a message with its tally, in one allocation.
type delivery struct {
	Message
	tally Tally
}

func newDelivery(d *delivery, topic, event string, p Payload, done func(Report)) *delivery {
	d.Topic, d.Event, d.Payload = topic, event, p
	d.tally.done = done
	d.Message.tally = &d.tally
	d.tally.open.Store(1) // held by the hub
	return d
}

// offer offers a delivery to the subscribers of this node. It reports whether the
// history was passed over, since there is no subscription. The error is that of
// the history, or of a subscriber if none has taken the message.
func (h *Hub) offer(ctx context.Context, d *delivery) (passedOver bool, err error) {
	if h.history != nil {
		if h.Subscribers(d.Topic) == 0 {
			return h.history.Keeps(d.Topic), nil
		}
		if err := h.history.Append(ctx, &d.Message); err != nil {
			return false, err
		}
		_, d.tally.kept = d.Record()
	}
	h.dispatch(&d.Message, nil)
	if err := d.failure(); err != nil && d.tally.taken == 0 {
		return false, err
	}
	return false, nil
}

// Tally counts what became of one delivery. A subscriber finds it in
// [Message.Tally] and reports to it. Its methods may be called from any goroutine
// unless they say otherwise.
type Tally struct {
	done  func(Report)
	open  atomic.Int32 // parties that have not reported: takers, and the hub during the dispatch
	worst atomic.Int32 // rank of the worst reason so far
	told  atomic.Bool
	taken int  // takers; owned by the goroutine of the dispatch
	kept  bool // written before the dispatch

	refused int32 // rank of the last Refuse; owned by the goroutine of the dispatch

	keptThere atomic.Bool // by another node
}

// Tally returns the tally of a message that was given to [Hub.Deliver], and nil
// for a broadcast.
func (m *Message) Tally() *Tally { return m.tally }

// Take notes that a subscriber has taken the message: it must call Report once
// when it has it, or when it never will. Take is called in Subscriber.Deliver.
func (t *Tally) Take() {
	t.taken++
	t.open.Add(1)
}

// Refuse notes why a subscriber does not take the message. It is called in
// Subscriber.Deliver. A subscriber that finds out after Take calls Report as well.
func (t *Tally) Refuse(reason error) {
	t.refused = rankOf(reason)
	t.note(reason)
}

// Report notes that a subscriber that took the message has it since at, or that
// it never will, for the reason err. It may call the function that was given to
// Deliver.
func (t *Tally) Report(at time.Time, err error) {
	if err == nil {
		if t.told.CompareAndSwap(false, true) {
			t.done(Report{At: at, Kept: t.kept || t.keptThere.Load()})
		}
		t.open.Add(-1) // now: a failure that finds no other party open would report itself
		return
	}
	t.note(err)
	if t.open.Add(-1) == 0 && t.told.CompareAndSwap(false, true) {
		t.done(Report{Err: ranks[t.worst.Load()], Kept: t.kept || t.keptThere.Load()})
	}
}

func (t *Tally) note(err error) {
	rank := rankOf(err)
	for {
		worst := t.worst.Load()
		if rank <= worst || t.worst.CompareAndSwap(worst, rank) {
			return
		}
	}
}
