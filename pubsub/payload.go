package pubsub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/internal/jsontext"
)

// Payload is the encoded payload of a message: JSON, or bytes that go out
// unchanged. A broadcast encodes its payload once, before anything else happens
// with it, so that subscribers, histories and other nodes all see the same bytes.
type Payload struct {
	// Data is JSON, or any bytes if Binary is set. It is shared by everything
	// that has the message and must not be changed.
	Data   []byte
	Binary bool
}

// Binary is a payload of bytes that are not JSON.
type Binary []byte

// Errors of payloads.
var (
	// ErrPayload: a broadcast payload is neither a JSON object nor binary.
	ErrPayload = errors.New("pubsub: payload is neither a JSON object nor binary")
	// ErrJSON: a payload given as JSON text is not valid JSON, or not valid UTF-8.
	ErrJSON = errors.New("pubsub: payload is not valid JSON")

	errBinaryJSON = errors.New("pubsub: a binary payload has no JSON form")
)

var emptyObject, null = []byte("{}"), []byte("null")

// Encode makes a payload of v. nil becomes {}. [Binary] becomes a binary payload.
// []byte, json.RawMessage and a [Payload] are checked to be one JSON value in valid
// UTF-8, and the error is [ErrJSON] otherwise; without any bytes they become null.
// All four are not copied. Any other value goes through json.Marshal, whose errors,
// as for NaN, are returned, as is a panic of the value's own MarshalJSON.
//
// It is the one place where JSON enters: what it has returned is sent to clients and
// other nodes without another check.
func Encode(v any) (Payload, error) {
	switch v := v.(type) {
	case nil:
		return Payload{Data: emptyObject}, nil
	case Payload:
		if v.Binary {
			return v, nil
		}
		return encodedAlready(v.Data)
	case Binary:
		return Payload{Data: v, Binary: true}, nil
	case json.RawMessage:
		return encodedAlready(v)
	case []byte:
		return encodedAlready(v)
	}
	return marshal(v)
}

// encodedAlready checks text that is given as JSON.
func encodedAlready(data []byte) (Payload, error) {
	switch {
	case len(data) == 0: // as encoding/json does with a nil RawMessage
		return Payload{Data: null}, nil
	case !validJSON(data):
		return Payload{}, ErrJSON
	}
	return Payload{Data: data}, nil
}

// validJSON reports whether data is JSON in valid UTF-8. json.Valid accepts strings
// with other bytes, for which a client closes its connection (RFC 6455, 8.1).
func validJSON(data []byte) bool { return jsontext.Valid(data) }

func marshal(v any) (p Payload, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = Payload{}, fmt.Errorf("pubsub: encoding %T: %w", v, crash.Of(r))
		}
	}()
	if p.Data, err = json.Marshal(v); err != nil {
		return Payload{}, err
	}
	// json.Marshal replaces what is not UTF-8 in strings, but not in a RawMessage or
	// in what a MarshalJSON returns.
	if !utf8.Valid(p.Data) {
		return Payload{}, ErrJSON
	}
	return p, nil
}

// encodeOwned is Encode for a message: the payload must be an object or binary,
// and the result does not share memory that the caller may use again. Only a
// [Payload] is shared, which is encoded and immutable by contract.
func encodeOwned(v any) (Payload, error) {
	p, err := Encode(v)
	if err != nil {
		return Payload{}, err
	}
	if !p.IsObject() {
		return Payload{}, ErrPayload
	}
	switch v.(type) {
	case Binary, json.RawMessage, []byte:
		p.Data = slices.Clone(p.Data)
	}
	return p, nil
}

// IsObject reports whether the payload is a JSON object or binary. Only those
// can be pushed or broadcast.
func (p Payload) IsObject() bool {
	if p.Binary {
		return true
	}
	data := bytes.TrimLeft(p.Data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// Decode reads the JSON into v, as json.Unmarshal does. A binary payload is an
// error.
func (p Payload) Decode(v any) error {
	if p.Binary {
		return errBinaryJSON
	}
	return json.Unmarshal(p.Data, v)
}

// MarshalJSON returns the JSON, so that a payload can be part of another value.
// A binary payload is an error.
func (p Payload) MarshalJSON() ([]byte, error) {
	if p.Binary {
		return nil, errBinaryJSON
	}
	if len(p.Data) == 0 {
		return null, nil
	}
	return p.Data, nil
}

// String returns the JSON text, or the number of bytes of a binary payload.
func (p Payload) String() string {
	if p.Binary {
		return fmt.Sprintf("binary of %d bytes", len(p.Data))
	}
	return string(p.Data)
}

// MarshalJSON returns an error: bytes that are not JSON cannot be part of a JSON
// value.
func (Binary) MarshalJSON() ([]byte, error) { return nil, errBinaryJSON }
