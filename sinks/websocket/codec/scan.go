package codec

import "unicode/utf8"

// MaxDepth is how deep arrays and objects may be nested in a message, the
// envelope included.
const MaxDepth = 32

// scanner walks over JSON text and checks it without building anything, as
// RFC 8259 defines it, with the limits named in the package documentation.
type scanner struct {
	data []byte
	pos  int
	fail string // reason of the first failure

	scratch [2][]byte // of plain
}

func (s *scanner) err() error {
	if s.fail == "" {
		s.fail = "malformed"
	}
	return &DecodeError{Reason: s.fail, Offset: s.pos}
}

func (s *scanner) failed(reason string) bool {
	if s.fail == "" {
		s.fail = reason
	}
	return false
}

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

// peek is the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// next takes c if it is the next byte that is not space.
func (s *scanner) next(c byte) bool {
	if s.peek() == c && s.pos < len(s.data) {
		s.pos++
		return true
	}
	return false
}

// value walks over one value. depth counts what encloses it.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth >= MaxDepth {
			return s.failed("nested too deep")
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

func (s *scanner) composite(open byte, depth int) bool {
	end := open + 2 // ']' and '}' both follow their opening by two
	if s.next(end) {
		return true
	}
	var keys keySet
	for {
		if open == '{' {
			if s.peek() != '"' {
				return s.failed("key is not a string")
			}
			key, ok := s.text()
			if !ok {
				return false
			}
			if !s.next(':') {
				return s.failed("colon expected")
			}
			if !keys.add(s, key) {
				return s.failed("duplicate key")
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

func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return s.failed("unknown word")
	}
	s.pos += len(w)
	return true
}

// text walks over a string and answers where its inside begins and ends and
// whether it holds escapes.
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
				return sp, s.failed("invalid UTF-8")
			}
			s.pos += n
		}
	}
	return sp, s.failed("string without end")
}

type span struct {
	from, to int
	escaped  bool
}

func (s *scanner) escape() bool {
	s.pos++
	if s.pos >= len(s.data) {
		return s.failed("string without end")
	}
	c := s.data[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		r, ok := s.hex4()
		if !ok {
			return s.failed("bad escape")
		}
		switch {
		case r >= 0xdc00 && r <= 0xdfff:
			return s.failed("lone surrogate")
		case r >= 0xd800 && r <= 0xdbff:
			if s.pos+1 >= len(s.data) || s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
				return s.failed("lone surrogate")
			}
			s.pos += 2
			if low, ok := s.hex4(); !ok || low < 0xdc00 || low > 0xdfff {
				return s.failed("lone surrogate")
			}
		}
		return true
	}
	return s.failed("bad escape")
}

func (s *scanner) hex4() (rune, bool) {
	r, ok := hex4(s.data[s.pos:])
	if ok {
		s.pos += 4
	}
	return r, ok
}

func hex4(in []byte) (rune, bool) {
	if len(in) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range in[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
