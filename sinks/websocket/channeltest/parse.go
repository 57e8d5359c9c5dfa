package channeltest

import (
	"encoding/json"
	"errors"
	"reflect"

	"github.com/penstock-go/penstock/sinks/websocket/codec"
)

var errBinary = errors.New("channeltest: binary message of unknown form")

// parse parses a message of a server, a text or a binary one of version 2. A text
// is [join_ref, ref, topic, event, payload]. The message refers to data.
func parse(data []byte, binary bool) (message, error) {
	if binary {
		return parseBinary(data)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return message{}, err
	}
	if len(parts) != 5 {
		return message{}, errors.New("channeltest: message has not five parts")
	}
	m := message{payload: parts[4]}
	for i, to := range []*string{&m.joinRef, &m.ref, &m.topic, &m.event} {
		// A null ref or join ref stays "".
		if string(parts[i]) == "null" {
			continue
		}
		if err := json.Unmarshal(parts[i], to); err != nil {
			return message{}, err
		}
	}
	return m, nil
}

// parseBinary parses a binary message, whose form package codec describes.
func parseBinary(data []byte) (message, error) {
	// The kinds are push, reply and broadcast. A reply has a status in the
	// place of an event.
	fields := map[byte]int{0: 3, 1: 4, 2: 2} // the number of fields by the kind
	if len(data) == 0 || fields[data[0]] == 0 || len(data) < 1+fields[data[0]] {
		return message{}, errBinary
	}
	n := fields[data[0]]
	rest := data[1+n:]
	var parts []string
	for _, size := range data[1 : 1+n] {
		if int(size) > len(rest) {
			return message{}, errBinary
		}
		parts = append(parts, string(rest[:size]))
		rest = rest[size:]
	}
	m := message{binary: append([]byte{}, rest...)}
	switch data[0] {
	case 0:
		m.joinRef, m.topic, m.event = parts[0], parts[1], parts[2]
	case 1:
		m.joinRef, m.ref, m.topic, m.event, m.status = parts[0], parts[1], parts[2], "phx_reply", parts[3]
	case 2:
		m.topic, m.event = parts[0], parts[1]
	}
	return m, nil
}

// alike reports whether the payload of a message is what is wanted. JSON is compared
// by value, so that the order of keys and the type of want do not matter. A binary
// payload equals only a websocket.Binary with the same bytes.
func alike(want any, payload json.RawMessage, binary []byte) (bool, error) {
	p, err := codec.Encode(want)
	if err != nil {
		return false, err
	}
	if p.Binary || binary != nil {
		return p.Binary && binary != nil && string(p.Data) == string(binary), nil
	}
	// Numbers become float64 on both sides: integers beyond 2^53 that differ
	// can compare as equal.
	var a, b any
	if err := json.Unmarshal(p.Data, &a); err != nil {
		return false, err
	}
	if err := json.Unmarshal(payload, &b); err != nil {
		return false, err
	}
	return reflect.DeepEqual(a, b), nil
}

// withoutOffset removes the offset of a resumable topic from a payload, and reports
// whether there was one.
// It changes the payload of m, and drops the order of its fields, which alike
// ignores.
func withoutOffset(m *message) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(m.payload, &fields) != nil || fields["resume_offset"] == nil {
		return false
	}
	delete(fields, "resume_offset")
	plain, err := json.Marshal(fields)
	m.payload = plain
	return err == nil
}
