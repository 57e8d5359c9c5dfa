// Package object edits JSON objects as text, so that the values that stay keep
// their bytes and their order.
package object

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Without returns a JSON object without the members of these names, however the
// names are escaped and however often they come. The object must be valid JSON.
// It is returned itself if it has none of them, and otherwise a copy.
func Without(object []byte, names ...string) []byte {
	// Most objects have none of the names, and are not parsed: a name is either there
	// as it is, perhaps as a part of a value, or escaped.
	if bytes.IndexByte(object, '\\') < 0 && !slices.ContainsFunc(names, func(n string) bool { return bytes.Contains(object, []byte(n)) }) {
		return object
	}
	out, removed := []byte{'{'}, false
	for name, member := range members(object) {
		if is(name, names) {
			removed = true
			continue
		}
		if len(out) > 1 { // more than the brace: a member is before it
			out = append(out, ',')
		}
		out = append(out, member...)
	}
	if !removed {
		return object
	}
	return append(out, '}')
}

// With returns a JSON object in which the member name has this value, as the last
// one and only once. Both must be valid JSON.
func With(object []byte, name string, value []byte) []byte {
	object = bytes.TrimSpace(Without(object, name))
	head := object[:len(object)-1]
	out := make([]byte, 0, len(object)+len(name)+len(value)+4)
	out = append(out, head...)
	// Only "{" is left of an empty object, which takes no comma.
	if len(bytes.TrimSpace(head)) > 1 {
		out = append(out, ',')
	}
	out = append(append(append(out, '"'), name...), `":`...)
	return append(append(out, value...), '}')
}

// is reports whether a name, with its quotes, is one of names.
func is(quoted []byte, names []string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return slices.Contains(names, string(quoted[1:len(quoted)-1]))
	}
	var name string
	return json.Unmarshal(quoted, &name) == nil && slices.Contains(names, name)
}

// members yields the members of a valid object: the name with its quotes, and the
// whole member, both as parts of the object.
func members(object []byte) func(yield func(name, member []byte) bool) {
	return func(yield func(name, member []byte) bool) {
		i := space(object, bytes.IndexByte(object, '{')+1)
		for i < len(object) && object[i] == '"' {
			begin := i
			i = text(object, i)
			name := object[begin:i]
			i = space(object, i) // at the colon
			i = value(object, space(object, i+1))
			if !yield(name, object[begin:i]) {
				return
			}
			if i = space(object, i); i < len(object) && object[i] == ',' {
				i = space(object, i+1)
			}
		}
	}
}

// space returns the first index from i on that is not white space.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// text returns the index after the string that begins at i.
func text(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++ // what is escaped may be a quote
		}
	}
	return min(i+1, len(data))
}

// value returns the index after the value that begins at i. It only counts brackets, since
// what is between them is valid.
func value(data []byte, i int) int {
	depth := 0 // of brackets
	for i < len(data) {
		switch data[i] {
		case '"':
			i = text(data, i)
			if depth == 0 {
				return i
			}
			continue // i is after the text already
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the object, after a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i // after a number or a word
			}
		}
		i++
	}
	return i
}
