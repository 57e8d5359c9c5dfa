package deadletter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/penstock-go/penstock/internal/crash"
	"github.com/penstock-go/penstock/trace"
)

// Of returns a letter with an event, encoded by encode or, if that is nil, as JSON,
// with its position if it is a [Positioner], its past if it is a [Historian], and its trace
// context if it is a trace.Carrier. The caller fills in the rest.
//
// An event that cannot be encoded, or whose encoding panics, is kept as text in the
// form of %+v, and EncodeError says why: it is not lost, but it cannot be played back.
func Of[T any](event T, encode func(T) ([]byte, error)) (l Letter) {
	if encode == nil {
		encode = func(event T) ([]byte, error) { return json.Marshal(event) }
	}
	data, err := encoded(event, encode)
	if err != nil {
		l.EncodeError = err.Error()
		text := fmt.Sprintf("an event of type %T", event)
		_ = crash.Apart(func() { text = fmt.Sprintf("%+v", event) })
		data, _ = json.Marshal(text) // a string always has an encoding
	}
	l.SetBytes(data)
	l.Source, err = position(event)
	if err != nil {
		l.Source = err.Error()
	}
	if c, ok := any(event).(trace.Carrier); ok {
		_ = crash.Apart(func() { l.Trace = c.TraceContext() })
	}
	if h, ok := any(event).(Historian); ok {
		var past Past
		if exit := crash.Apart(func() { past = h.Past() }); exit == nil && past != (Past{}) {
			l.Past = &past
		}
	}
	return l
}

// encoded calls encode and returns its panic as an error.
func encoded[T any](event T, encode func(T) ([]byte, error)) (data []byte, err error) {
	if exit := crash.Apart(func() { data, err = encode(event) }); exit != nil {
		return nil, exit
	}
	return data, err
}

// position returns the position of an event that has one.
func position(event any) (at string, err error) {
	if p, ok := event.(Positioner); ok {
		err = crash.Apart(func() { at = p.Position() })
	}
	return at, err
}

// SetBytes sets Event and Binary for the encoded event data. Compact JSON is kept as it
// is, so that it can be read and searched; anything else becomes base64. [Letter.Bytes]
// returns exactly these bytes.
func (l *Letter) SetBytes(data []byte) {
	if l.Binary = !compact(data); l.Binary {
		data = base64.StdEncoding.AppendEncode([]byte{'"'}, data)
		data = append(data, '"')
	}
	l.Event = data
}

// compact reports whether data is JSON that stays the same when it is encoded as part of
// other JSON.
func compact(data []byte) bool {
	var b bytes.Buffer
	return utf8.Valid(data) && json.Compact(&b, data) == nil && bytes.Equal(b.Bytes(), data)
}

// Bytes returns the event as it was encoded. The caller must not change the slice.
func (l *Letter) Bytes() ([]byte, error) {
	if !l.Binary {
		return l.Event, nil
	}
	var data []byte // encoding/json has the same base64
	if err := json.Unmarshal(l.Event, &data); err != nil {
		return nil, fmt.Errorf("dead letter: binary event: %w", err)
	}
	return data, nil
}
