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

// maxKnown bounds the lines that are remembered. Beyond it they are forgotten, and
// remembered anew as they come.
const maxKnown = 4096

// parse is parseLine.
func (k *known) parse(line []byte) (sample, bool) {
	value, rate, ok := k.cut(line)
	if !ok {
		return parseLine(line) // which decides whether it is one
	}
	if s, found := k.samples[string(k.key)]; found {
		s.value, s.rate = value, rate
		return s, true
	}
	s, ok := parseLine(line)
	if ok {
		if k.samples == nil || len(k.samples) >= maxKnown {
			k.samples = make(map[string]sample)
		}
		k.samples[string(k.key)] = s
	}
	return s, ok
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
