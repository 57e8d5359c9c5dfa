package websocket

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/penstock-go/penstock/internal/object"
	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The names that clients of resumable channels know.
const (
	// fieldResume holds the client's position: in the params of a join the one
	// at which it was, in the reply the one at which it begins.
	fieldResume = "resume"
	// fieldOffset is in the payload of each broadcast that is kept. The event of
	// that name holds it alone: it moves the position of a client past what it
	// has broadcast to the others.
	fieldOffset = "resume_offset"
	// eventSkipped is an event in place of a broadcast that can never be sent. Its
	// payload holds fieldOffset.
	eventSkipped = "resume_skipped"
)

// Why a client cannot resume, in the reply to its join.
const (
	resumeNew     = "new"     // it has sent no position
	resumeEpoch   = "epoch"   // its position is of another node, or from before a restart
	resumeHistory = "history" // what it missed is not kept any more
)

// resumeParams is the position in the params of a join.
type resumeParams struct {
	Resume struct {
		Epoch  string `json:"epoch"`
		Offset uint64 `json:"offset"`
	} `json:"resume"`
}

// resumeReply is the position in the reply to a join.
type resumeReply struct {
	Epoch     string `json:"epoch"`
	Offset    uint64 `json:"offset"` // the next record follows it
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason,omitempty"` // unless recovered
}

// resume begins the subscription of the channel and finds out where its client begins: right
// after the position that it has sent, if all since then is kept. It returns the
// response to the join with that position, and the records that were missed.
//
// The subscription comes first, so that what is broadcast from then on either is
// among the records or reaches the subscription.
func (ch *Channel) resume(m codec.Message, response any) (any, []pubsub.Record, error) {
	p, err := encodeObject(response)
	if err != nil {
		return nil, nil, err
	}
	// The position is a field of the reply, which must be an object.
	if p.Binary {
		return nil, nil, ErrPayload
	}
	// Before the subscription, since follow uses it from the first broadcast on.
	at := &place{}
	ch.mu.Lock()
	ch.more().place = at
	ch.mu.Unlock()
	hub := ch.sess.endpoint().hub
	ctx := (*channelContext)(ch)
	was, asked := positionIn(m)
	if !asked {
		// A new client begins where the history ended before the subscription, so
		// that a delivery which waited for that subscription reaches it.
		if _, was, err = ch.since(pubsub.Position{}); err != nil && !errors.Is(err, pubsub.ErrEpoch) {
			return nil, nil, err
		}
	}
	ch.subscription().Begin()
	hub.Settle(ctx, ch.topic)
	missed, now, err := ch.since(was)
	reply, err := resumeReplyTo(asked, was, now, err)
	if err != nil {
		return nil, nil, err
	}
	ch.mu.Lock()
	at.begin(ch, pubsub.Position{Epoch: now.Epoch, Offset: reply.Offset})
	ch.mu.Unlock()
	field, err := json.Marshal(reply)
	if err != nil {
		return nil, nil, err
	}
	return codec.Payload{Data: object.With(p.Data, fieldResume, field)}, missed, nil
}

// positionIn returns the position that a join asks to resume at, if it does.
func positionIn(m codec.Message) (was pubsub.Position, asked bool) {
	var params resumeParams
	if m.Binary || json.Unmarshal(m.Payload, &params) != nil || params.Resume.Epoch == "" {
		return pubsub.Position{}, false
	}
	return pubsub.Position{Epoch: params.Resume.Epoch, Offset: params.Resume.Offset}, true
}

// resumeReplyTo returns what the reply to a join says after the history was read
// from was on, which is now at another position or has returned err.
func resumeReplyTo(asked bool, was, now pubsub.Position, err error) (resumeReply, error) {
	reply := resumeReply{Epoch: now.Epoch, Offset: now.Offset}
	switch {
	// A new client also reads from was, and counts as not recovered.
	case err == nil:
		reply.Offset, reply.Recovered = was.Offset, asked
	case errors.Is(err, pubsub.ErrEpoch):
		reply.Reason = resumeEpoch
	case errors.Is(err, pubsub.ErrTrimmed):
		reply.Reason = resumeHistory
	default:
		return reply, err
	}
	if !asked {
		reply.Reason = resumeNew
	}
	return reply, nil
}

// numberedPayload returns the payload of a record with its offset. A field of that
// name in the payload itself is left out, since clients differ in which of two
// they take.
func numberedPayload(r *pubsub.Record) codec.Payload {
	return codec.Payload{Data: object.With(r.Data, fieldOffset, decimal(r.Offset))}
}

// offsetPayload returns the payload of an event that only moves the client's
// position.
func offsetPayload(n uint64) codec.Payload {
	return codec.Payload{Data: object.With(payloadEmpty.Data, fieldOffset, decimal(n))}
}

// decimal returns n as JSON.
func decimal(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }
