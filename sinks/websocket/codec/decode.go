package codec

import "math"

// Decode implements [Serializer].
func (v Version) Decode(data []byte, binary bool, maxDepth int) (Message, error) {
	switch {
	case uint64(len(data)) > math.MaxUint32: // positions are kept in 32 bits
		return Message{}, &DecodeError{Reason: "longer than 4 GiB"}
	case binary && v == V1:
		return Message{}, &DecodeError{Reason: "protocol version 1 has no binary messages"}
	case binary:
		return decodeBinary(data)
	}
	// The scanner validates the whole text before anything is copied out of it.
	s := &scanner{data: data, maxDepth: maxDepth}
	var f fields
	var ok bool
	if v == V1 {
		ok = f.scanV1(s)
	} else {
		ok = f.scanV2(s)
	}
	err := s.err(ok)
	if !ok {
		return Message{}, err
	}
	if err != nil {
		return f.names(data), err
	}
	return f.message(data), nil
}

// scanV2 scans [join_ref, ref, topic, event, payload].
// It must have at least five elements, the first four of the types that Phoenix
// sends.
func (f *fields) scanV2(s *scanner) bool {
	if !s.next('[') {
		return s.failed("not an array")
	}
	ok := f.joinRef.scan(s) && s.comma() &&
		f.ref.scan(s) && s.comma() &&
		s.textValue(&f.topic) && s.comma() &&
		s.textValue(&f.event) && s.comma() &&
		s.rawValue(&f.payload)
	for ok && !s.next(']') { // further elements are ignored, but must be JSON
		ok = s.comma() && s.value(1)
	}
	return ok && s.end()
}

// The keys of a message of version 1. All but the last must be present.
var keysV1 = [...]string{"topic", "event", "payload", "ref", "join_ref"}

// scanV1 scans {"topic":…, "event":…, "payload":…, "ref":…}, in any order and
// with further keys.
func (f *fields) scanV1(s *scanner) bool {
	if !s.next('{') {
		return s.failed("not an object")
	}
	// An absent ref is an error, as in Phoenix, and null is a ref. The join_ref
	// may be absent: clients of version 1 do not send it.
	var seen [len(keysV1) + 1]bool // the last is for other keys
	var keys keySet
	for first := true; !s.next('}'); first = false {
		if !first && !s.comma() {
			return false
		}
		key, ok := s.key(&keys)
		if !ok {
			return false
		}
		// A key may be written with escapes, and means the same then.
		which := keyV1(s.plain(&s.scratch[0], key))
		if !f.scanValueV1(s, which) {
			return false
		}
		seen[which] = true
	}
	if !s.end() {
		return false
	}
	for _, there := range seen[:4] {
		if !there {
			return s.failed("missing key")
		}
	}
	return true
}

// keyV1 returns the index of a key in keysV1, or its length for another key.
// The comparison is exact: JSON keys differ in case.
func keyV1(name []byte) int {
	for i, key := range keysV1 {
		if string(name) == key {
			return i
		}
	}
	return len(keysV1)
}

// scanValueV1 scans the value of the key with an index in keysV1. The value of
// another key must be JSON, and is ignored.
func (f *fields) scanValueV1(s *scanner, which int) bool {
	switch which {
	case 0:
		return s.textValue(&f.topic)
	case 1:
		return s.textValue(&f.event)
	case 2:
		return s.rawValue(&f.payload)
	case 3:
		return f.ref.scan(s)
	case 4:
		return f.joinRef.scan(s)
	}
	return s.value(1)
}
