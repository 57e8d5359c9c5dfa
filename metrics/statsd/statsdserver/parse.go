package statsdserver

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a series measures.
type Kind string

// The kinds.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
	Timer   Kind = "timer"
)

// sample is one line of the protocol, checked.
type sample struct {
	kind  Kind
	name  string
	tags  string // key:value,key:value in order of keys
	value float64
	rate  float64 // above 0, at most 1
}

// maxLine bounds what a line may be, so that a series' name stays small.
const maxLine = 4096

// parseLine reads one line; ok is false if it is not one of the protocol's.
func parseLine(line []byte) (s sample, ok bool) {
	if len(line) > maxLine {
		return sample{}, false
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return sample{}, false
	}
	name, infix := splitInfix(string(line[:colon]))
	if name == "" {
		return sample{}, false
	}
	fields := strings.Split(string(line[colon+1:]), "|")
	if len(fields) < 2 {
		return sample{}, false
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return sample{}, false
	}
	s = sample{name: name, value: value, rate: 1}
	switch fields[1] {
	case "c":
		s.kind = Counter
	case "g":
		s.kind = Gauge
	case "ms", "h", "d":
		s.kind = Timer
	default:
		return sample{}, false
	}
	tags := infix
	for _, f := range fields[2:] {
		switch {
		case strings.HasPrefix(f, "@"):
			s.rate, err = strconv.ParseFloat(f[1:], 64)
			// The comparison is written so that NaN fails it.
			if err != nil || !(s.rate >= minRate && s.rate <= 1) {
				return sample{}, false
			}
		case strings.HasPrefix(f, "#"):
			tags = append(tags, strings.Split(f[1:], ",")...)
		default:
			return sample{}, false
		}
	}
	slices.Sort(tags)
	s.tags = strings.Join(tags, ",")
	return s, true
}

// minRate bounds the weight that one line can have.
const minRate = 1e-6

// splitInfix splits a name from tags in Graphite's manner (name;key=value) or
// InfluxDB's (name,key=value). The tags come back as key:value.
func splitInfix(s string) (name string, tags []string) {
	at := strings.IndexAny(s, ";,")
	if at < 0 {
		return s, nil
	}
	for tag := range strings.SplitSeq(s[at+1:], s[at:at+1]) {
		tags = append(tags, strings.Replace(tag, "=", ":", 1))
	}
	return s[:at], tags
}
