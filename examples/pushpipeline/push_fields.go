package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// wirePush is a push as it is posted, each field as raw JSON; nil is a missing one.
type wirePush struct{ user, data []byte }

// readFields finds the fields of a push in body, of which they are part, and skips
// others. Each field has one name, exactly as it is written here, and comes once.
// json.Unmarshal ignores case and takes the last of several, so that a program in front
// of this one could have checked another user than the one who gets the push.
func readFields(body []byte) (w wirePush, err error) {
	if !json.Valid(body) {
		var any json.RawMessage
		return w, fmt.Errorf("not JSON: %w", plain(json.Unmarshal(body, &any)))
	}
	// From here on nothing can be missing, which makes finding the fields simple.
	rest := bytes.TrimSpace(body)
	if rest[0] != '{' {
		return w, errors.New("want an object with user_id and data")
	}
	for {
		rest = bytes.TrimLeft(rest[1:], jsonSpace) // after the brace or a comma
		if rest[0] == '}' {
			return w, nil
		}
		var name, value []byte
		name, rest = cutValue(rest)
		rest = bytes.TrimLeft(rest, jsonSpace)
		value, rest = cutValue(bytes.TrimLeft(rest[1:], jsonSpace)) // after the colon
		field := w.named(name)
		switch {
		case field == nil:
		case *field != nil:
			return w, fmt.Errorf("%s comes twice", unquote(name))
		default:
			*field = value
		}
		if rest = bytes.TrimLeft(rest, jsonSpace); rest[0] == '}' {
			return w, nil
		}
	}
}

// named returns the field with a name, which is a JSON string, or nil.
func (w *wirePush) named(name []byte) *[]byte {
	// Names with escapes are rare: the others need no copy.
	if bytes.IndexByte(name, '\\') >= 0 {
		name = strconv.AppendQuote(nil, unquote(name))
	}
	switch string(name) {
	case `"user_id"`:
		return &w.user
	case `"data"`:
		return &w.data
	}
	return nil
}

// jsonSpace is the white space of JSON.
const jsonSpace = " \t\r\n"

// cutValue splits valid JSON after the value that it begins with.
func cutValue(b []byte) (value, rest []byte) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return b[:i+1], b[i+1:]
			}
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\r', '\n':
			if depth == 0 { // what ends a number or a literal
				return b[:i], b[i:]
			}
			if b[i] == '}' || b[i] == ']' {
				if depth--; depth == 0 {
					return b[:i+1], b[i+1:]
				}
			}
		}
	}
	return b, nil
}

// unquote returns the text of a valid JSON string.
func unquote(quoted []byte) string { return unquoteAfter("", quoted) }

// unquoteAfter is unquote with a prefix, in one allocation unless there are escapes.
func unquoteAfter(prefix string, quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return prefix + string(quoted[1:len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return prefix + text
}
