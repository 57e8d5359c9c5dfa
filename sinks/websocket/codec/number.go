package codec

import "bytes"

// number scans a number. One beyond the largest float64 exceeds a limit. Its digits are
// compared for that, since converting a number can cost tens of microseconds.
func (s *scanner) number() bool {
	if s.data[s.pos] == '-' {
		s.pos++
	}
	// RFC 8259, 6: no leading zero, no plus sign, and digits on both sides of
	// the point.
	whole := s.digits()
	if len(whole) == 0 || (len(whole) > 1 && whole[0] == '0') {
		return s.failed("bad number")
	}
	var fraction []byte
	if s.at('.') {
		s.pos++
		if fraction = s.digits(); len(fraction) == 0 {
			return s.failed("bad number")
		}
	}
	exponent, ok := s.exponent()
	if !ok {
		return s.failed("bad number")
	}
	return inRange(whole, fraction, exponent) || s.exceeds("number out of range")
}

// exponent scans the exponent of a number, if there is one. The result is not
// exact beyond 2^30, which is longer than any message.
func (s *scanner) exponent() (exponent int, ok bool) {
	if !s.at('e') && !s.at('E') {
		return 0, true
	}
	s.pos++
	negative := s.at('-')
	if negative || s.at('+') {
		s.pos++
	}
	digits := s.digits()
	for _, c := range digits {
		exponent = min(exponent*10+int(c-'0'), 1<<30)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, len(digits) > 0
}

// largest holds the digits of the largest float64, 1.797…e308.
const largest = "17976931348623157"

// inRange reports whether whole.fraction times ten to the exponent is at most the
// largest float64.
func inRange(whole, fraction []byte, exponent int) bool {
	if whole[0] == '0' {
		// From here on the first digit is not 0, and exponent is its power of
		// ten: the number is d.ddd times ten to the exponent.
		kept := bytes.TrimLeft(fraction, "0")
		exponent -= len(fraction) - len(kept) + 1
		whole, fraction = nil, kept
	} else {
		exponent += len(whole) - 1
	}
	if exponent != 308 {
		return exponent < 308 || len(whole)+len(fraction) == 0 // 0 is 0
	}
	for i := range len(whole) + len(fraction) {
		// Digits after the last one of largest are compared with 0: a number
		// that only adds digits other than 0 is larger.
		digit, limit := byte(0), byte('0')
		if i < len(whole) {
			digit = whole[i]
		} else {
			digit = fraction[i-len(whole)]
		}
		if i < len(largest) {
			limit = largest[i]
		}
		if digit != limit {
			return digit < limit
		}
	}
	return true
}

// at reports whether c is the next byte. Unlike peek it skips no white space, which
// a number must not contain.
func (s *scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

// digits scans the digits that follow and returns them.
func (s *scanner) digits() []byte {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.data[start:s.pos]
}
