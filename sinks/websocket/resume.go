package websocket

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/penstock-go/penstock/pubsub"
	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

// The names that clients of resumable channels know.
const (
	// fieldResume is where a client's params say where it was, and where the
	// reply says where it is.
	fieldResume = "resume"
	// fieldOffset is in the payload of each broadcast that is kept, and alone in
	// the event of that name, which tells a client that it need not get what it
	// has broadcast to the others.
	fieldOffset = "resume_offset"
)

// Why a client cannot resume, as its join reply says.
const (
	resumeNew     = "new"     // it has not said where it was
	resumeEpoch   = "epoch"   // it was elsewhere, or before a restart
	resumeHistory = "history" // what it missed is not kept any more
)

// resumeParams is what a join says.
type resumeParams struct {
	Resume struct {
		Epoch  string `json:"epoch"`
		Offset uint64 `json:"offset"`
	} `json:"resume"`
}

// resumeReply is what the join is answered.
type resumeReply struct {
	Epoch     string `json:"epoch"`
	Offset    uint64 `json:"offset"` // what comes next is behind it
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason,omitempty"` // unless recovered
}

// resume subscribes the channel and finds out where its client begins: right
// after where it was, if everything since is there. The subscription comes
// first, so that what is broadcast from now on is either among the records or
// will be heard of.
func (ch *Channel) resume(m codec.Message, response any) (any, []pubsub.Record, error) {
	p, err := codec.Encode(response)
	if err != nil {
		return nil, nil, err
	}
	if p.Binary || !p.IsObject() {
		return nil, nil, ErrPayload
	}
	at := &place{}
	ch.mu.Lock()
	ch.more().place = at
	ch.mu.Unlock()
	history := ch.sess.endpoint().hub.History()
	ctx := (*channelContext)(ch)
	var said resumeParams
	asked := !m.Binary && json.Unmarshal(m.Payload, &said) == nil && said.Resume.Epoch != ""
	was := pubsub.Position{Epoch: said.Resume.Epoch, Offset: said.Resume.Offset}
	if !asked {
		// A new client begins where the history ended before the subscription, so
		// that a delivery which waited for that subscription reaches it.
		var err error
		if _, was, err = history.Since(ctx, ch.topic, pubsub.Position{}); err != nil && !errors.Is(err, pubsub.ErrEpoch) {
			return nil, nil, err
		}
	}
	if err := ch.subscribe(); err != nil {
		return nil, nil, err
	}
	ch.sess.endpoint().hub.Settle(ctx, ch.topic)
	missed, now, err := history.Since(ctx, ch.topic, was)
	reply := resumeReply{Epoch: now.Epoch, Offset: now.Offset}
	switch {
	case err == nil:
		reply.Offset, reply.Recovered = was.Offset, asked
	case errors.Is(err, pubsub.ErrEpoch):
		reply.Reason = resumeEpoch
	case errors.Is(err, pubsub.ErrTrimmed):
		reply.Reason = resumeHistory
	default:
		return nil, nil, err
	}
	if !asked {
		reply.Reason = resumeNew
	}
	ch.mu.Lock()
	at.begin(ch, pubsub.Position{Epoch: now.Epoch, Offset: reply.Offset})
	ch.mu.Unlock()
	field, err := json.Marshal(reply)
	if err != nil {
		return nil, nil, err
	}
	return codec.Payload{Data: withField(p.Data, fieldResume, field)}, missed, nil
}

// numberedPayload is the payload of a record with its offset.
func numberedPayload(r *pubsub.Record) codec.Payload {
	return codec.Payload{Data: withField(r.Data, fieldOffset, decimal(r.Offset))}
}

func decimal(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// withField is a JSON object with one more field, at its end: of two fields of
// one name clients take the last.
func withField(object []byte, name string, value []byte) []byte {
	object = bytes.TrimSpace(object)
	head := object[:len(object)-1]
	out := make([]byte, 0, len(object)+len(name)+len(value)+4)
	out = append(out, head...)
	if len(bytes.TrimSpace(head)) > 1 {
		out = append(out, ',')
	}
	out = append(append(append(out, '"'), name...), `":`...)
	return append(append(out, value...), '}')
}
