package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of the protocol, as named by the parameter vsn.
type Version uint8

// The known versions. V2 is the zero value, since all clients since 2019 use it.
const (
	V2 Version = iota
	V1
)

// ErrVersion reports a version that [ParseVersion] does not know.
var ErrVersion = errors.New("codec: unsupported protocol version")

// ParseVersion parses the parameter vsn: three numbers with dots, where 1.0.x is V1
// and 2.0.x is V2. An empty string means V1, as it does for Phoenix.
func ParseVersion(vsn string) (Version, error) {
	if vsn == "" {
		return V1, nil
	}
	parts := strings.Split(vsn, ".")
	if len(parts) != 3 {
		return V2, ErrVersion
	}
	var n [3]uint64
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 32)
		// A leading zero is refused, as the version parser of Elixir does.
		if err != nil || p[0] == '+' || (len(p) > 1 && p[0] == '0') {
			return V2, ErrVersion
		}
		n[i] = v
	}
	switch {
	case n[0] == 1 && n[1] == 0:
		return V1, nil
	case n[0] == 2 && n[1] == 0:
		return V2, nil
	}
	return V2, ErrVersion
}

// String returns the version as a client names it.
func (v Version) String() string {
	if v == V1 {
		return "1.0.0"
	}
	return "2.0.0"
}

// Ref is a reference chosen by the client: null (the empty Ref), a string or a
// number. It holds the JSON text, so that refs compare as Phoenix compares them:
// RefOf("1") is not equal to the number 1.
type Ref string

// RefOf returns the ref of a string. RefOf("") is the empty string, not null.
func RefOf(s string) Ref {
	size := len(s) + 2
	for i := range len(s) {
		if !plainByte(s[i]) {
			size = 6*len(s) + 2 // an escape has at most six bytes
			break
		}
	}
	return Ref(appendString(make([]byte, 0, size), s))
}

// IsNull reports whether there is no ref.
func (r Ref) IsNull() bool { return r == "" }

// Text returns the ref without the quotes of JSON, or "" for null.
// Binary messages carry refs in this form, and so do not distinguish the number
// 1 from the string "1".
func (r Ref) Text() string {
	if len(r) < 2 || r[0] != '"' {
		return string(r)
	}
	inner := string(r[1 : len(r)-1])
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal([]byte(r), &s) != nil {
		return inner
	}
	return s
}

// Message is one message from a client.
// All fields are copies. They stay valid when the buffer of the message is
// reused.
type Message struct {
	JoinRef, Ref Ref
	Topic, Event string
	// Payload is valid JSON of any kind, without limits other than its depth and
	// unique keys, or the raw data if Binary is set.
	Payload []byte
	Binary  bool
}

// DecodeError reports why a message cannot be parsed. Its text holds nothing of the
// message.
type DecodeError struct {
	// Reason is a short fixed text.
	Reason string
	// Offset is the byte at which it was noticed, counted from 0.
	Offset int
	// WellFormed reports that the message has the form of the protocol and only
	// exceeds a limit, or holds text that is not Unicode: its sender can be told, by
	// its ref. In the names that come with the error, what is not Unicode is U+FFFD.
	WellFormed bool
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("codec: cannot decode: %s at byte %d", e.Reason, e.Offset)
}

// The errors of messages that cannot be encoded.
var (
	// ErrFieldTooLong: a binary message has one byte for the length of a field.
	ErrFieldTooLong = errors.New("codec: binary field longer than 255 bytes")
	// ErrNoBinary: protocol version 1 has no place for binary data.
	ErrNoBinary = errors.New("codec: protocol version 1 has no binary messages")
)
