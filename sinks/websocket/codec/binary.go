package codec

import (
	"strings"
	"unicode/utf8"
)

// The kinds of binary messages, which are the first byte. The length of each
// field follows as one byte, in the order of the fields, and then the fields and
// the payload without any separator. A client sends pushes only.
//
//	push of a client: join_ref, ref, topic, event
//	push of a server: join_ref, topic, event
//	reply:            join_ref, ref, topic, status
//	broadcast:        topic, event
const (
	kindPush      = 0
	kindReply     = 1
	kindBroadcast = 2
)

// decodeBinary decodes a push from a client. Empty refs are empty strings, not
// null, since the form has no null.
func decodeBinary(data []byte) (Message, error) {
	const header = 5 // the kind and the lengths of four fields
	if len(data) < header {
		return Message{}, &DecodeError{Reason: "binary header too short", Offset: len(data)}
	}
	if data[0] != kindPush {
		return Message{}, &DecodeError{Reason: "binary kind is not a push"}
	}
	end := header
	var at [5]int // where each field begins, and the data
	for i := range 4 {
		at[i] = end
		end += int(data[1+i])
	}
	at[4] = end
	if end > len(data) {
		return Message{}, &DecodeError{Reason: "binary fields longer than the message", Offset: len(data)}
	}
	shared := string(data[header:end]) // one allocation for all fields
	field := func(i int) string { return shared[at[i]-header : at[i+1]-header] }
	m := Message{JoinRef: RefOf(field(0)), Ref: RefOf(field(1)), Topic: field(2), Event: field(3), Binary: true}
	// Names end up in JSON messages and in logs. The fields are checked
	// together: a character across two fields is the client's own mistake, and
	// only garbles its names.
	if !utf8.Valid(data[header:end]) {
		m.Topic, m.Event = strings.ToValidUTF8(m.Topic, "\ufffd"), strings.ToValidUTF8(m.Event, "\ufffd")
		return m, &DecodeError{Reason: "invalid UTF-8", Offset: header, WellFormed: true}
	}
	// A copy: the caller reuses data for the next message.
	m.Payload = append([]byte(nil), data[end:]...)
	return m, nil
}

// appendBinary appends a binary message of the given kind and fields.
func appendBinary(dst []byte, kind byte, data []byte, parts ...string) ([]byte, error) {
	// On an error dst is returned as it was, without half a message.
	start := len(dst)
	dst = append(dst, kind)
	for _, p := range parts {
		if len(p) > 255 {
			return dst[:start], ErrFieldTooLong
		}
		dst = append(dst, byte(len(p)))
	}
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return append(dst, data...), nil
}
