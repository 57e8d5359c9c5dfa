package codec

import "math"

// Decode reads one message. binary tells a binary message from a text one.
// Nothing in the answer refers to data. The error is a [*DecodeError].
func Decode(v Version, binary bool, data []byte) (Message, error) {
	switch {
	case uint64(len(data)) > math.MaxUint32:
		return Message{}, &DecodeError{Reason: "longer than 4 GiB"}
	case binary && v == V1:
		return Message{}, &DecodeError{Reason: "protocol version 1 has no binary messages"}
	case binary:
		return decodeBinary(data)
	case v == V1:
		return decodeV1(data)
	}
	return decodeV2(data)
}

// fields gathers where the parts of a message lie in the input.
type fields struct {
	joinRef, ref   span
	topic, event   span
	payload        span
	hasJoin, hasID bool
}

func decodeV2(data []byte) (Message, error) {
	s := &scanner{data: data}
	var f fields
	if !s.next('[') {
		s.failed("not an array")
		return Message{}, s.err()
	}
	ok := s.refValue(&f.joinRef, &f.hasJoin) && s.comma() &&
		s.refValue(&f.ref, &f.hasID) && s.comma() &&
		s.textValue(&f.topic) && s.comma() &&
		s.textValue(&f.event) && s.comma() &&
		s.rawValue(&f.payload)
	if !ok {
		return Message{}, s.err()
	}
	for !s.next(']') { // further elements are ignored, but must be JSON
		if !s.comma() || !s.value(1) {
			return Message{}, s.err()
		}
	}
	if s.peek(); s.pos != len(data) {
		s.failed("text after the message")
		return Message{}, s.err()
	}
	return f.message(data), nil
}

func decodeV1(data []byte) (Message, error) {
	s := &scanner{data: data}
	if !s.next('{') {
		s.failed("not an object")
		return Message{}, s.err()
	}
	var f fields
	var seen [5]bool
	var all keySet
	keys := [5]string{"topic", "event", "payload", "ref", "join_ref"}
	for first := true; !s.next('}'); first = false {
		if !first && !s.comma() {
			return Message{}, s.err()
		}
		if s.peek() != '"' {
			s.failed("key is not a string")
			return Message{}, s.err()
		}
		key, ok := s.text()
		if ok && !s.next(':') {
			ok = s.failed("colon expected")
		}
		if !ok {
			return Message{}, s.err()
		}
		name := s.plain(&s.scratch[0], key)
		which := -1
		for i, k := range keys {
			if string(name) == k {
				which = i
			}
		}
		if !all.add(s, key) {
			s.failed("duplicate key")
			return Message{}, s.err()
		}
		switch which {
		case 0:
			ok = s.textValue(&f.topic)
		case 1:
			ok = s.textValue(&f.event)
		case 2:
			ok = s.rawValue(&f.payload)
		case 3:
			ok = s.refValue(&f.ref, &f.hasID)
		case 4:
			ok = s.refValue(&f.joinRef, &f.hasJoin)
		default:
			ok = s.value(1)
		}
		if !ok {
			return Message{}, s.err()
		}
		if which >= 0 {
			seen[which] = true
		}
	}
	if s.peek(); s.pos != len(data) {
		s.failed("text after the message")
		return Message{}, s.err()
	}
	if !seen[0] || !seen[1] || !seen[2] || !seen[3] {
		s.failed("missing key")
		return Message{}, s.err()
	}
	return f.message(data), nil
}

func (s *scanner) comma() bool {
	if !s.next(',') {
		return s.failed("comma expected")
	}
	return true
}

// refValue reads null, a string or a number; the span of a string holds its
// quotes.
func (s *scanner) refValue(sp *span, set *bool) bool {
	c := s.peek()
	from := s.pos
	switch {
	case c == 'n':
		return s.word("null")
	case c == '"':
		in, ok := s.text()
		*sp = span{from: from, to: s.pos, escaped: in.escaped}
		*set = true
		return ok && s.refFits(sp)
	case c == '-' || (c >= '0' && c <= '9'):
		ok := s.number()
		*sp = span{from: from, to: s.pos}
		*set = true
		return ok && s.refFits(sp)
	}
	return s.failed("ref is neither null, string nor number")
}

// maxRef is the longest ref taken, quotes included: what fits into a field of
// a binary message. Refs are kept as long as a channel lives.
const maxRef = 257

func (s *scanner) refFits(sp *span) bool {
	return sp.to-sp.from <= maxRef || s.failed("ref too long")
}

func (s *scanner) textValue(sp *span) bool {
	if s.peek() != '"' {
		return s.failed("string expected")
	}
	in, ok := s.text()
	*sp = in
	return ok
}

func (s *scanner) rawValue(sp *span) bool {
	s.space()
	sp.from = s.pos
	ok := s.value(1)
	sp.to = s.pos
	return ok
}

// unquote is a copy of the inside of a string that has been walked over.
func (s *scanner) unquote(sp span) string { return string(s.plain(&s.scratch[0], sp)) }

// message copies the parts out. What lies before the payload is copied once
// and shared by the strings, so that a message costs two allocations.
func (f *fields) message(data []byte) Message {
	s := &scanner{data: data}
	end := max(f.joinRef.to, f.ref.to, f.topic.to, f.event.to)
	start := min(f.topic.from, f.event.from)
	if f.hasJoin {
		start = min(start, f.joinRef.from)
	}
	if f.hasID {
		start = min(start, f.ref.from)
	}
	var shared string
	inOne := f.payload.from >= end || f.payload.to <= start
	if inOne {
		shared = string(data[start:end])
	}
	cut := func(sp span) string {
		switch {
		case sp.escaped:
			return s.unquote(sp)
		case inOne:
			return shared[sp.from-start : sp.to-start]
		}
		return string(data[sp.from:sp.to])
	}
	ref := func(sp span, set bool) Ref {
		switch {
		case !set:
			return ""
		case sp.escaped:
			return RefOf(s.unquote(span{from: sp.from + 1, to: sp.to - 1, escaped: true}))
		}
		return Ref(cut(sp))
	}
	return Message{
		JoinRef: ref(f.joinRef, f.hasJoin),
		Ref:     ref(f.ref, f.hasID),
		Topic:   cut(f.topic),
		Event:   cut(f.event),
		Payload: append([]byte(nil), data[f.payload.from:f.payload.to]...),
	}
}
