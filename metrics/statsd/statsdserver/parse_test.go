package statsdserver

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

var goodLines = []struct {
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
}

func TestParseLine(t *testing.T) {
	for _, c := range goodLines {
		got, ok := parseLine([]byte(c.line))
		if !ok || got != c.want {
			t.Errorf("parseLine(%q) = %+v, %v, want %+v", c.line, got, ok, c.want)
		}
	}
}

var badLines = []string{
	"", ":", "a", "a:", ":1|c", "a:1", "a:|c", "a:x|c", "a:1|", "a:1|x", "a:NaN|g", "a:Inf|g", "a:1e999|c",
	"a:1|c|", "a:1|c|@", "a:1|c|@0", "a:1|c|@-1", "a:1|c|@2", "a:1|c|@NaN", "a:1|c|@1e-9", "a:1|c|what",
	";a=1:2|c", strings.Repeat("a", maxLine) + ":1|c",
}

func TestParseLineRefuses(t *testing.T) {
	for _, line := range badLines {
		if got, ok := parseLine([]byte(line)); ok {
			t.Errorf("parseLine(%.40q) = %+v, want it refused", line, got)
		}
	}
}

// TestKnownLines has lines that are remembered read as parseLine does.
func TestKnownLines(t *testing.T) {
	lines := [][]byte{[]byte("a:2|c|@0.25"), []byte("a:2|c|@0.25|#z:1"), []byte("a:2|c|#z:1|@0.25"), []byte("a:2|c|#z:1|#y"), []byte("a:4|c|@0.5|"), []byte("a:4|c|@0.5|@0.1")}
	for _, c := range goodLines {
		lines = append(lines, []byte(c.line))
	}
	for _, line := range badLines {
		lines = append(lines, []byte(line))
	}
	checkKnown(t, append(lines, lines...)...)
	k := &known{}
	line := []byte("pipeline.push_delivered:12.345|ms|@0.123456|#class:light")
	s, _, _ := k.parse(line)
	k.remember(s)
	if n := testing.AllocsPerRun(100, func() { k.parse(line) }); n > 0 {
		t.Errorf("a line that is known takes %v allocations", n)
	}
}

// TestOnlyAcceptedLinesAreRemembered: neither lines of series without room nor long ones
// take memory, and lines in turn, more than are remembered, do not empty what is.
func TestOnlyAcceptedLinesAreRemembered(t *testing.T) {
	a := NewAggregate(1)
	a.Add([]byte("a:1|c\nb:1|c\nc:1|c"))
	if n := len(a.known.samples); n != 1 {
		t.Errorf("%d lines are remembered, want the one whose series is kept", n)
	}
	a = NewAggregate(0)
	a.Add([]byte(strings.Repeat("x", 300) + ":1|c"))
	if n := len(a.known.samples); n != 0 {
		t.Errorf("%d long lines are remembered", n)
	}
	a = NewAggregate(2 * maxKnown)
	for i := range maxKnown + 100 {
		a.Add(fmt.Appendf(nil, "a%d:1|c", i))
	}
	if n := len(a.known.samples); n != maxKnown {
		t.Errorf("%d lines are remembered, want %d", n, maxKnown)
	}
}

func checkKnown(t *testing.T, lines ...[]byte) {
	t.Helper()
	k := &known{}
	for _, line := range lines {
		want, wantOK := parseLine(line)
		got, isNew, ok := k.parse(line)
		if got != want || ok != wantOK {
			t.Errorf("%.60q: %+v, %v, want %+v, %v", line, got, ok, want, wantOK)
		}
		if isNew {
			k.remember(got)
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
		checkKnown(t, line, []byte("a:5|c"), line, line)
		a := NewAggregate(1)
		a.Add(line)
		if snap := a.Snapshot(); snap.Malformed > int64(len(line)) {
			t.Fatalf("more lines than bytes: %+v", snap)
		}
	})
}
