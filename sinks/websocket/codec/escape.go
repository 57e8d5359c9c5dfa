package codec

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// escape scans an escape in a string, whose backslash is next. The result is not
// decoded: see unescape.
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
		return s.unicodeEscape()
	}
	return s.failed("bad escape")
}

// unicodeEscape scans the digits of \uXXXX, and a second such escape if they are
// the first half of a surrogate pair.
// A lone surrogate has no encoding in UTF-8. It is refused rather than
// replaced, because two different keys or names could become one. JavaScript makes
// one of a string that was cut inside of a character.
func (s *scanner) unicodeEscape() bool {
	r, ok := s.hex4()
	switch {
	case !ok:
		return s.failed("bad escape")
	case !utf16.IsSurrogate(r):
		return true
	case lowHalf(r, s.data[s.pos:]) != utf8.RuneError:
		s.pos += 6
		return true
	}
	return s.exceeds("lone surrogate")
}

// lowHalf returns the character of which high is the first half, if in begins with
// the escape of its second half, and RuneError otherwise.
func lowHalf(high rune, in []byte) rune {
	rest, ok := bytes.CutPrefix(in, []byte(`\u`))
	if !ok {
		return utf8.RuneError
	}
	low, _ := hex4(rest) // 0 if there are no four digits, which is no second half
	return utf16.DecodeRune(high, low)
}

// hex4 scans four hexadecimal digits.
func (s *scanner) hex4() (rune, bool) {
	r, ok := hex4(s.data[s.pos:])
	if ok {
		s.pos += 4
	}
	return r, ok
}

// hex4 parses the four hexadecimal digits at the beginning of in.
// It returns false if there are fewer than four.
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

// plain returns the inside of a string that has been scanned, without escapes. The
// result is a part of the input, or of scratch.
// It cannot fail, because the scan has checked every escape. A later call with
// the same scratch overwrites the result.
func (s *scanner) plain(scratch *[]byte, sp span) []byte {
	if !sp.escaped {
		return s.data[sp.from:sp.to]
	}
	out := (*scratch)[:0]
	for in := s.data[sp.from:sp.to]; len(in) > 0; {
		if n := bytes.IndexByte(in, '\\'); n != 0 { // -1: no further escape
			if n < 0 {
				n = len(in)
			}
			out, in = append(out, in[:n]...), in[n:]
			continue
		}
		out, in = unescape(out, in)
	}
	*scratch = out
	return out
}

// unescape appends what the escape at the beginning of in stands for, and returns
// the rest of in. The escape has been scanned.
func unescape(out, in []byte) ([]byte, []byte) {
	c := in[1]
	in = in[2:]
	switch c {
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, _ := hex4(in)
		in = in[4:]
		if utf16.IsSurrogate(r) {
			// Without a second half it is U+FFFD, and the message is refused.
			if r = lowHalf(r, in); r != utf8.RuneError {
				in = in[6:]
			}
		}
		return utf8.AppendRune(out, r), in
	}
	return append(out, c), in
}
