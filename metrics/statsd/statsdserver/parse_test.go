package statsdserver

import (
	"math"
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want sample
	}{
		{"a.b:1|c", sample{kind: Counter, name: "a.b", value: 1, rate: 1}},
		{"a:-3|c|@0.5", sample{kind: Counter, name: "a", value: -3, rate: 0.5}},
		{"a:1.5|g", sample{kind: Gauge, name: "a", value: 1.5, rate: 1}},
		{"a:+2|g", sample{kind: Gauge, name: "a", value: 2, rate: 1}},
		{"a:-2|g", sample{kind: Gauge, name: "a", value: -2, rate: 1}},
		{"a:0.25|ms", sample{kind: Timer, name: "a", value: 0.25, rate: 1}},
		{"a:7|h|#z:1,b:2", sample{kind: Timer, name: "a", tags: "b:2,z:1", value: 7, rate: 1}},
		{"a:7|d|@0.1|#b:x:y", sample{kind: Timer, name: "a", tags: "b:x:y", value: 7, rate: 0.1}},
		{"a;z=1;b=2:3|c", sample{kind: Counter, name: "a", tags: "b:2,z:1", value: 3, rate: 1}},
		{"a,z=1,b=2:3|c", sample{kind: Counter, name: "a", tags: "b:2,z:1", value: 3, rate: 1}},
	} {
		got, ok := parseLine([]byte(c.line))
		if !ok || got != c.want {
			t.Errorf("parseLine(%q) = %+v, %v, want %+v", c.line, got, ok, c.want)
		}
	}
}

func TestParseLineRefuses(t *testing.T) {
	for _, line := range []string{
		"", ":", "a", "a:", ":1|c", "a:1", "a:|c", "a:x|c", "a:1|", "a:1|x", "a:NaN|g", "a:Inf|g", "a:1e999|c",
		"a:1|c|", "a:1|c|@", "a:1|c|@0", "a:1|c|@-1", "a:1|c|@2", "a:1|c|@NaN", "a:1|c|@1e-9", "a:1|c|what",
		";a=1:2|c", strings.Repeat("a", maxLine) + ":1|c",
	} {
		if got, ok := parseLine([]byte(line)); ok {
			t.Errorf("parseLine(%.40q) = %+v, want it refused", line, got)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{"a:1|c", "a:1.5|ms|@0.1|#k:v,l", "a;k=v:1|g", "a,k=v:-1|g", ":|@#", "a:1|c|@1e-7"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s, ok := parseLine(line)
		if !ok {
			return
		}
		if s.name == "" || strings.ContainsAny(s.name, ":;,") || math.IsNaN(s.value) || math.IsInf(s.value, 0) ||
			!(s.rate >= minRate && s.rate <= 1) {
			t.Fatalf("parseLine(%q) accepted %+v", line, s)
		}
		a := NewAggregate(1)
		a.Add(line)
		if snap := a.Snapshot(); snap.Malformed > int64(len(line)) {
			t.Fatalf("more lines than bytes: %+v", snap)
		}
	})
}
