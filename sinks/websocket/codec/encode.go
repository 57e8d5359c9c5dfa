package codec

import (
	"unicode/utf8"

	"github.com/penstock-go/penstock/pubsub"
)

// Binary is a payload that is sent unchanged, in a binary message.
type Binary = pubsub.Binary

// Payload is an encoded payload, ready for any number of messages.
type Payload = pubsub.Payload

// Encode encodes v as [pubsub.Encode] does: Binary stays as it is, everything else
// becomes JSON. nil becomes an empty object.
func Encode(v any) (Payload, error) { return pubsub.Encode(v) }

// Binary implements [Serializer].
func (v Version) Binary(p Payload) bool { return p.Binary }

// AppendMessage implements [Serializer]: [joinRef, ref, topic, event, payload]. A
// binary message has no place for the ref.
func (v Version) AppendMessage(dst []byte, joinRef, ref Ref, topic, event string, p Payload) ([]byte, error) {
	switch {
	// Version 1 knows text messages only.
	case p.Binary && v == V1:
		return dst, ErrNoBinary
	case p.Binary:
		return appendBinary(dst, kindPush, p.Data, joinRef.Text(), topic, event)
	case v == V1:
		return appendV1(dst, ref, topic, event, p.Data), nil
	}
	dst = appendHead(dst, joinRef, ref, topic)
	dst = appendString(dst, event)
	dst = append(dst, ',')
	dst = append(dst, p.Data...)
	return append(dst, ']'), nil
}

// AppendBroadcast implements [Serializer]. In a text both refs are null. A binary
// message has a kind of its own.
func (v Version) AppendBroadcast(dst []byte, topic, event string, p Payload) ([]byte, error) {
	// With version 1, AppendMessage below returns ErrNoBinary.
	if p.Binary && v == V2 {
		return appendBinary(dst, kindBroadcast, p.Data, topic, event)
	}
	return v.AppendMessage(dst, "", "", topic, event, p)
}

// AppendReply implements [Serializer].
func (v Version) AppendReply(dst []byte, joinRef, ref Ref, topic, status string, response Payload) ([]byte, error) {
	switch {
	case response.Binary && v == V1:
		return dst, ErrNoBinary
	case response.Binary:
		return appendBinary(dst, kindReply, response.Data, joinRef.Text(), ref.Text(), topic, status)
	case v == V1:
		dst = append(dst, `{"event":"phx_reply","payload":`...)
		dst = appendResponse(dst, status, response.Data)
		return appendV1Tail(dst, ref, topic), nil
	}
	dst = appendHead(dst, joinRef, ref, topic)
	dst = append(dst, `"phx_reply",`...)
	dst = appendResponse(dst, status, response.Data)
	return append(dst, ']'), nil
}

// appendHead appends the beginning of a message of version 2, up to the event.
func appendHead(dst []byte, joinRef, ref Ref, topic string) []byte {
	dst = append(dst, '[')
	dst = appendRef(dst, joinRef)
	dst = append(dst, ',')
	dst = appendRef(dst, ref)
	dst = append(dst, ',')
	dst = appendString(dst, topic)
	return append(dst, ',')
}

// appendResponse appends the payload of a reply, {"response":…, "status":…}. Only
// in a binary reply is the status a field of the message instead.
func appendResponse(dst []byte, status string, response []byte) []byte {
	dst = append(dst, `{"response":`...)
	dst = append(dst, response...)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, status)
	return append(dst, '}')
}

// appendV1 appends a message of version 1, with its keys in the order in which
// Phoenix writes them.
func appendV1(dst []byte, ref Ref, topic, event string, payload []byte) []byte {
	dst = append(dst, `{"event":`...)
	dst = appendString(dst, event)
	dst = append(dst, `,"payload":`...)
	dst = append(dst, payload...)
	return appendV1Tail(dst, ref, topic)
}

// appendV1Tail appends what follows the payload: the ref and the topic. Version 1
// sends no join_ref.
func appendV1Tail(dst []byte, ref Ref, topic string) []byte {
	dst = append(dst, `,"ref":`...)
	dst = appendRef(dst, ref)
	dst = append(dst, `,"topic":`...)
	dst = appendString(dst, topic)
	return append(dst, '}')
}

// appendRef appends a ref, which is JSON already, or null.
func appendRef(dst []byte, r Ref) []byte {
	if r == "" {
		return append(dst, "null"...)
	}
	return append(dst, r...)
}

// plainByte reports whether a byte of a string needs no escape in JSON.
// A byte beyond ASCII is plain by this rule; appendString checks its UTF-8.
func plainByte(c byte) bool {
	return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. As encoding/json does, it escapes what
// could be markup in HTML, and replaces invalid UTF-8.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	// s[from:i] needs no escape and is not appended yet, so that plain text is
	// copied in one piece.
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plainByte(c) {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		// The two results of an invalid byte: U+FFFD as such is three bytes
		// long.
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[from:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			from = i
			continue
		}
		i += n
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
