package statsdserver

import (
	"bytes"
	"math"
	"strconv"
)

// known remembers lines by all of them but the value and the rate, so that the lines of a
// series, of which there may be a hundred thousand a second, need no strings of their own.
type known struct {
	samples map[string]sample
	key     []byte // of the line under way; used again
}

const (
	// maxKnown bounds the lines that are remembered. Beyond it one is forgotten for each
	// that comes.
	maxKnown = 4096
	// maxKnownKey bounds the bytes of a line that is remembered.
	maxKnownKey = 256
)

// parse is parseLine. It reports also whether the line is new, for remember.
func (k *known) parse(line []byte) (s sample, isNew, ok bool) {
	value, rate, ok := k.cut(line)
	if !ok {
		s, ok = parseLine(line) // which decides whether it is one
		return s, false, ok
	}
	if s, found := k.samples[string(k.key)]; found {
		s.value, s.rate = value, rate
		return s, false, true
	}
	s, ok = parseLine(line)
	return s, ok && len(k.key) <= maxKnownKey, ok
}

// remember remembers the line that parse has read last, whose series was taken in.
func (k *known) remember(s sample) {
	if k.samples == nil {
		k.samples = make(map[string]sample)
	}
	if len(k.samples) >= maxKnown {
		for other := range k.samples { // any one: the order is random
			delete(k.samples, other)
			break
		}
	}
	k.samples[string(k.key)] = s
}

// cut puts all of a line but the value and the rate into key. It reports false for a line
// whose rate does not follow the kind, and for figures that cannot be.
func (k *known) cut(line []byte) (value, rate float64, ok bool) {
	name, rest, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(line) > maxLine {
		return 0, 0, false
	}
	text, rest, ok := bytes.Cut(rest, []byte{'|'})
	if !ok {
		return 0, 0, false
	}
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, 0, false
	}
	rate = 1
	kind, more, follows := bytes.Cut(rest, []byte{'|'})
	if len(more) > 0 && more[0] == '@' {
		text, more, follows = bytes.Cut(more[1:], []byte{'|'})
		// The comparison is written so that NaN fails it.
		if rate, err = strconv.ParseFloat(string(text), 64); err != nil || !(rate >= minRate && rate <= 1) {
			return 0, 0, false
		}
	}
	// A field without anything in it, or perhaps another rate.
	if follows && len(more) == 0 || bytes.IndexByte(more, '@') >= 0 {
		return 0, 0, false
	}
	k.key = append(append(k.key[:0], name...), ':')
	k.key = append(append(k.key, kind...), '|')
	k.key = append(k.key, more...)
	return value, rate, true
}
