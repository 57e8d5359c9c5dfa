package codec

import (
	"bytes"
	"strings"
)

// span is a part of the input. The span of a string excludes its quotes.
type span struct {
	from, to int
	escaped  bool // it has escapes
}

// refSpan is the part of the input that holds a ref, quotes included.
type refSpan struct {
	span
	set bool // the ref is not null
}

// fields holds where the parts of a message are in the input.
// It is filled by a scanner and refers to no memory of its own, so that a
// message that is malformed costs no allocation.
type fields struct {
	joinRef, ref refSpan
	topic, event span
	payload      span
}

// maxRef bounds a ref, without the quotes of a string: a field of a binary message
// holds 255 bytes. Refs are kept for as long as a channel lives.
const maxRef = 255

// scan scans null, a string or a number. The clients of
// Phoenix send strings; others send numbers.
func (r *refSpan) scan(s *scanner) bool {
	c := s.peek()
	from := s.pos
	ok, quotes := false, 0
	switch {
	case c == 'n':
		return s.word("null")
	case c == '"':
		var inside span
		inside, ok = s.text()
		r.escaped, quotes = inside.escaped, 2
	case c == '-' || (c >= '0' && c <= '9'):
		ok = s.number()
	default:
		return s.failed("ref is neither null, string nor number")
	}
	r.from, r.to, r.set = from, s.pos, true
	// Checked on the raw text, which escapes can only make longer.
	if ok && r.to-r.from-quotes > maxRef {
		s.exceeds("ref too long")
	}
	return ok
}

// textValue scans a string.
func (s *scanner) textValue(sp *span) bool {
	if s.peek() != '"' {
		return s.failed("string expected")
	}
	var ok bool
	*sp, ok = s.text()
	return ok
}

// rawValue scans any value. Its depth is 1, since the message around it counts.
func (s *scanner) rawValue(sp *span) bool {
	s.space()
	sp.from = s.pos
	ok := s.value(1)
	sp.to = s.pos
	return ok
}

// names returns the message without its payload, for the reply to one that is
// refused. What is not Unicode becomes U+FFFD.
func (f *fields) names(data []byte) Message {
	c := copier{s: scanner{data: data}}
	valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	return Message{
		JoinRef: Ref(valid(string(c.ref(f.joinRef)))),
		Ref:     Ref(valid(string(c.ref(f.ref)))),
		Topic:   valid(c.text(f.topic)),
		Event:   valid(c.text(f.event)),
	}
}

// message copies the parts. The input before the payload is copied once and
// shared by all strings, so that a message costs two allocations.
func (f *fields) message(data []byte) Message {
	// All spans were found in this data, so that no index below can be out of
	// range.
	c := copier{s: scanner{data: data}}
	c.start = min(f.topic.from, f.event.from)
	end := max(f.topic.to, f.event.to)
	for _, r := range []*refSpan{&f.joinRef, &f.ref} {
		if r.set {
			c.start, end = min(c.start, r.from), max(end, r.to)
		}
	}
	if f.payload.from >= end || f.payload.to <= c.start { // not between the strings, as V1 allows
		c.shared, c.shares = string(data[c.start:end]), true
	}
	return Message{
		JoinRef: c.ref(f.joinRef),
		Ref:     c.ref(f.ref),
		Topic:   c.text(f.topic),
		Event:   c.text(f.event),
		Payload: append([]byte(nil), data[f.payload.from:f.payload.to]...),
	}
}

// copier makes strings of parts of the input.
// It belongs to one call of message. A span outside the shared string, as the
// payload's position in version 1 allows, is copied on its own.
type copier struct {
	s      scanner
	start  int
	shared string // the input from start on
	shares bool   // shared is in use
}

// text returns a part of the input as a string.
func (c *copier) text(sp span) string {
	switch {
	case sp.escaped:
		return string(c.s.plain(&c.s.scratch[0], sp))
	case c.shares:
		return c.shared[sp.from-c.start : sp.to-c.start]
	}
	return string(c.s.data[sp.from:sp.to])
}

// ref returns a ref. Its escapes are those of RefOf, so that equal refs compare
// equal, also if one of them came in a binary message.
func (c *copier) ref(r refSpan) Ref {
	if !r.set {
		return ""
	}
	if raw := c.s.data[r.from:r.to]; r.escaped || bytes.ContainsAny(raw, "<>&") {
		return RefOf(c.text(span{from: r.from + 1, to: r.to - 1, escaped: r.escaped}))
	}
	return Ref(c.text(r.span))
}
