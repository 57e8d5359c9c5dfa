package codec

import "bytes"

// number walks over a number. What lies beyond the largest float64 is refused,
// by counting its digits: to convert it would cost an attacker's digits tens of
// microseconds each.
func (s *scanner) number() bool {
	if s.data[s.pos] == '-' {
		s.pos++
	}
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
	exponent := 0
	if s.at('e') || s.at('E') {
		s.pos++
		negative := s.at('-')
		if negative || s.at('+') {
			s.pos++
		}
		digits := s.digits()
		if len(digits) == 0 {
			return s.failed("bad number")
		}
		for _, c := range digits {
			exponent = min(exponent*10+int(c-'0'), 1<<30) // longer than any message
		}
		if negative {
			exponent = -exponent
		}
	}
	return inRange(whole, fraction, exponent) || s.failed("number out of range")
}

// largest are the digits of the largest float64, 1.797…e308.
const largest = "17976931348623157"

// inRange tells whether whole.fraction times ten to the exponent is at most
// the largest float64.
func inRange(whole, fraction []byte, exponent int) bool {
	if whole[0] == '0' {
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

func (s *scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

// digits takes the digits that follow.
func (s *scanner) digits() []byte {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.data[start:s.pos]
}
