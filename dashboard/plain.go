package dashboard

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/penstock-go/penstock/internal/crash"
)

// maxValue bounds the JSON of one snapshot, or of what one handler or dispatcher reports.
const maxValue = 256 << 10

// plain is the snapshot of a part as JSON.
type plain struct {
	limit int
	data  []byte
}

// set notes a snapshot, appends its JSON to b, and reports whether it is another one.
func (p *plain) set(b []byte, v any) ([]byte, bool) {
	at := len(b)
	b = encode(b, v, p.limit)
	if bytes.Equal(b[at:], p.data) {
		return b, false
	}
	p.data = append(p.data[:0], b[at:]...)
	return b, true
}

// encode appends v as JSON with its lists cut. What cannot be encoded or is too large is
// replaced by an object that says so.
func encode(b []byte, v any, limit int) []byte {
	text, err := marshal(v)
	at := len(b)
	if err == nil {
		b = cut(b, text, limit)
		if len(b)-at <= maxValue {
			return b
		}
		text = []byte(strconv.Itoa(len(text)) + " bytes are too many to be shown")
	} else {
		text = []byte("cannot be encoded: " + err.Error())
	}
	b = quote(append(b[:at], `{"error":`...), string(text))
	return append(b, '}')
}

// marshal calls json.Marshal, which calls methods of the program.
func marshal(v any) (text []byte, err error) {
	defer crash.Catch(&err)
	return json.Marshal(v)
}

// quote appends s as a JSON string.
func quote(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // a string has a form
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
