package trace

import "strings"

// Bounds of a tracestate: its entries, and its bytes in all.
const (
	maxStateEntries = 32
	maxStateBytes   = 512
)

// WithState returns c with a tracestate: the values of all headers of that name. A state that
// breaks the recommendation's grammar, or is longer than 512 bytes, is left out as a whole:
// the context is valid without it.
func (c Context) WithState(values ...string) Context {
	var state string
	switch len(values) {
	case 0:
	case 1:
		state = values[0]
	default:
		state = strings.Join(values, ",")
	}
	c.State = ""
	if state = strings.Trim(state, " \t"); validState(state) {
		c.State = state
	}
	return c
}

// validState reports whether a tracestate keeps to the grammar.
func validState(state string) bool {
	if len(state) > maxStateBytes {
		return false
	}
	var keys [maxStateEntries]string
	n := 0
	for entry := range strings.SplitSeq(state, ",") {
		if entry = strings.Trim(entry, " \t"); entry == "" {
			continue // an entry may be empty
		}
		key, value, ok := strings.Cut(entry, "=")
		if !ok || n == maxStateEntries || !validKey(key) || !validValue(value) {
			return false
		}
		for _, other := range keys[:n] {
			if other == key {
				return false
			}
		}
		keys[n] = key
		n++
	}
	return true
}

// validKey reports whether key is a key of a tracestate: up to 256 characters, or a tenant of
// up to 241 and a system of up to 14 with an @ between them.
func validKey(key string) bool {
	tenant, system, multi := strings.Cut(key, "@")
	if !multi {
		return len(key) <= 256 && validName(key, false)
	}
	return len(tenant) <= 241 && len(system) <= 14 && validName(tenant, true) && validName(system, false)
}

// validName reports whether name is made of a key's characters, beginning with a letter, or
// with a digit where that is allowed.
func validName(name string, digitFirst bool) bool {
	for i := range len(name) {
		b := name[i]
		switch {
		case 'a' <= b && b <= 'z':
		case '0' <= b && b <= '9':
			if i == 0 && !digitFirst {
				return false
			}
		case i > 0 && strings.IndexByte("_-*/", b) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

// validValue reports whether value is a value of a tracestate: up to 256 printable characters
// without comma and equals sign.
func validValue(value string) bool {
	for i := range len(value) {
		if b := value[i]; b < ' ' || b > '~' || b == '=' {
			return false
		}
	}
	return value != "" && len(value) <= 256
}
