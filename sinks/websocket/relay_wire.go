package websocket

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/penstock-go/penstock/pubsub"
)

// The form of what relays of two nodes send each other, as a binary payload:
//
//	version  1 byte
//	kind     1 byte
//	id       8 bytes: the number of the request at the node that the client has reached
//	head     JSON, with its length in front as an unsigned varint
//	part     up to the end
const relayVersion = 1

// relayPart is how many bytes of a body one message holds, so that it passes through
// any backplane.
const relayPart = 256 << 10

// maxRelayed bounds the bytes of a response.
const maxRelayed = 64 << 20

// The kinds of messages between relays.
const (
	relayAsk     = iota + 1 // a part of a request
	relayCancel             // the client has gone, or must not wait any more
	relayWritten            // what became of a response
	relayTaken              // the session is there
	relayGone               // it is not
	relayAnswer             // a part of a response
	relayKinds
)

var (
	errRelayForm = errors.New("websocket: malformed part of a request")
	errRelayPart = errors.New("websocket: part of a request out of order")
	errNoNode    = errors.New("websocket: no such node")
	errNoWord    = errors.New("websocket: another node did not write the response")
)

// relayed is one message between relays.
type relayed struct {
	kind uint8
	id   uint64
	head relayHead
	part []byte
}

// relayHead is what a part has besides its bytes: all but At is in the first part only.
type relayHead struct {
	// At is the number of bytes before this part, and Size that of all parts.
	At   int `json:"at,omitempty"`
	Size int `json:"size,omitempty"`

	// Of a request.
	Token       string `json:"token,omitempty"`
	Method      string `json:"method,omitempty"`
	ContentType string `json:"type,omitempty"`
	Remote      string `json:"remote,omitempty"` // address of the client, for logs

	// Of a response. Status is 0 if nothing was written before the request ended.
	Status int         `json:"status,omitempty"`
	Header http.Header `json:"header,omitempty"`
	// Confirm asks for relayWritten.
	Confirm bool `json:"confirm,omitempty"`

	// Of relayWritten: whether the client has the response.
	Written bool `json:"written,omitempty"`
}

// payload returns the bytes of p.
func (p *relayed) payload() pubsub.Binary {
	head, err := json.Marshal(p.head)
	if err != nil {
		panic(err) // numbers and texts
	}
	b := make([]byte, 0, 20+len(head)+len(p.part))
	b = append(b, relayVersion, p.kind)
	b = binary.BigEndian.AppendUint64(b, p.id)
	b = binary.AppendUvarint(b, uint64(len(head)))
	return append(append(b, head...), p.part...)
}

// decodeRelay reads one message. The part refers to the payload.
func decodeRelay(payload pubsub.Payload) (p relayed, err error) {
	b := payload.Data
	if !payload.Binary || len(b) < 10 || b[0] != relayVersion || b[1] == 0 || b[1] >= relayKinds {
		return p, errRelayForm
	}
	p.kind, p.id = b[1], binary.BigEndian.Uint64(b[2:])
	size, n := binary.Uvarint(b[10:])
	if n <= 0 || size > uint64(len(b)-10-n) {
		return p, errRelayForm
	}
	b = b[10+n:]
	if json.Unmarshal(b[:size], &p.head) != nil || p.head.At < 0 || p.head.Size < 0 {
		return p, errRelayForm
	}
	p.part = b[size:]
	return p, nil
}

// gathered is a body of which parts arrive.
type gathered struct {
	head relayHead
	body []byte
}

// add appends a part. It reports whether the body is complete.
func (g *gathered) add(p *relayed, most int) (complete bool, err error) {
	if p.head.At != len(g.body) || p.head.Size > most {
		return false, errRelayPart
	}
	if p.head.At == 0 {
		g.head = p.head
	}
	if len(p.part) > g.head.Size-len(g.body) {
		return false, errRelayPart
	}
	g.body = append(g.body, p.part...)
	return len(g.body) == g.head.Size, nil
}
