package codec

import "unicode/utf8"

// DefaultDepth is the usual bound on the nesting of arrays and objects in a message,
// its envelope included.
const DefaultDepth = 32

// MaxDepth bounds what may be asked for: the scanner uses some hundred bytes of stack
// for each level.
const MaxDepth = 1000

// scanner checks JSON text as RFC 8259 defines it, with the limits that the
// package documentation names. It builds nothing.
//
// Its methods scan from pos on. They return false after a failure, whose reason
// is in fail and whose place is pos. Text that is JSON and exceeds a limit is no
// failure: exceeds notes it and the scan goes on, so that the sender can be named.
type scanner struct {
	data []byte
	pos  int
	// maxDepth bounds the nesting: see Serializer.Decode.
	maxDepth int
	fail     string // the reason of the first failure
	over     string // the limit that was exceeded first; the scan has gone on
	overAt   int    // where that was

	scratch [2][]byte // buffers of plain
}

// err returns the error for what was wrong first, or nil. ok is what the scan of
// the whole message has returned.
func (s *scanner) err(ok bool) error {
	switch {
	case s.over != "":
		return &DecodeError{Reason: s.over, Offset: s.overAt, WellFormed: ok}
	case ok:
		return nil
	case s.fail == "":
		s.fail = "malformed"
	}
	return &DecodeError{Reason: s.fail, Offset: s.pos}
}

// exceeds notes the first limit that the text exceeds. It returns true, since the
// scan goes on.
func (s *scanner) exceeds(limit string) bool {
	if s.over == "" {
		s.over, s.overAt = limit, s.pos
	}
	return true
}

// failed notes the reason of the first failure. It returns false.
// Scanning functions end with it, so that the innermost reason is the one
// reported.
func (s *scanner) failed(reason string) bool {
	if s.fail == "" {
		s.fail = reason
	}
	return false
}

// space skips white space.
func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// next takes c if it is the next byte that is not white space.
// The check of pos distinguishes a NUL byte from the end, for which peek
// returns 0 as well.
func (s *scanner) next(c byte) bool {
	if s.peek() == c && s.pos < len(s.data) {
		s.pos++
		return true
	}
	return false
}

// comma takes a comma, or fails.
func (s *scanner) comma() bool {
	return s.next(',') || s.failed("comma expected")
}

// end checks that nothing follows but white space.
func (s *scanner) end() bool {
	s.space()
	return s.pos == len(s.data) || s.failed("text after the message")
}

// value scans one value. depth counts the arrays and objects around it.
// It stops at the first byte after the value, so that 12x is a number and then
// an error of the caller.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth >= s.maxDepth {
			s.exceeds("nested too deep")
			return s.skip()
		}
		s.pos++
		return s.composite(c, depth+1)
	case c == '"':
		_, ok := s.text()
		return ok
	case c == '-' || (c >= '0' && c <= '9'):
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.failed("not a JSON value")
}

// skip scans an array or object that is nested too deep, without recursion. It
// looks at strings and brackets only, since the message is refused in any case.
func (s *scanner) skip() bool {
	for open := 0; s.pos < len(s.data); {
		switch s.data[s.pos] {
		case '"':
			if _, ok := s.text(); !ok {
				return false
			}
			continue
		case '[', '{':
			open++
		case ']', '}':
			open--
		}
		s.pos++
		if open == 0 {
			return true
		}
	}
	return s.failed("comma or end expected")
}

// composite scans an array or object whose opening has been taken.
// The recursion is bounded by maxDepth, and so is the stack.
func (s *scanner) composite(open byte, depth int) bool {
	end := open + 2 // in ASCII, ']' and '}' both follow their opening by two
	if s.next(end) {
		return true
	}
	var keys keySet
	for {
		if open == '{' {
			if _, ok := s.key(&keys); !ok {
				return false
			}
		}
		if !s.value(depth) {
			return false
		}
		if s.next(end) {
			return true
		}
		if !s.next(',') {
			return s.failed("comma or end expected")
		}
	}
}

// key scans a key of an object with its colon. One that is in keys already exceeds
// a limit. The same key with and without escapes is a duplicate.
func (s *scanner) key(keys *keySet) (key span, ok bool) {
	if s.peek() != '"' {
		return key, s.failed("key is not a string")
	}
	if key, ok = s.text(); !ok {
		return key, false
	}
	if !s.next(':') {
		return key, s.failed("colon expected")
	}
	if !keys.add(s, key) {
		s.exceeds("duplicate key")
	}
	return key, true
}

// word scans true, false or null.
// What follows the word is checked by the caller.
func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return s.failed("unknown word")
	}
	s.pos += len(w)
	return true
}

// text scans a string, whose opening quote is next, and returns its inside.
func (s *scanner) text() (span, bool) {
	s.pos++
	sp := span{from: s.pos}
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			sp.to = s.pos
			s.pos++
			return sp, true
		case c == '\\':
			sp.escaped = true
			if !s.escape() {
				return sp, false
			}
		case c < 0x20:
			return sp, s.failed("control character in string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && n == 1 {
				s.exceeds("invalid UTF-8")
			}
			s.pos += n
		}
	}
	return sp, s.failed("string without end")
}
