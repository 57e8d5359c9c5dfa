package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func draw(t *testing.T, b Bars) string {
	t.Helper()
	var s strings.Builder
	if _, err := b.WriteTo(&s); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(s.String()))
	for {
		if _, err := d.Token(); err == io.EOF {
			return s.String()
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, s.String())
		}
	}
}

// Bars are as long as their values say, and what has none says why.
func TestBars(t *testing.T) {
	for _, log := range []bool{false, true} {
		got := draw(t, Bars{
			Title: "p99 <of> light & heavy", Unit: "ms", Log: log, Names: []string{"10x", "100x"},
			Marks:  []Mark{{"aim", 10}},
			Groups: []Group{{Name: "Fair", Values: []float64{1, 1.25}}, {Name: "FIFO", Values: []float64{100, math.NaN()}, Note: "stood still"}},
		})
		for _, want := range []string{"p99 &lt;of&gt; light &amp; heavy", ">aim<", ">stood still<", ">1.25<", ">100<"} {
			if !strings.Contains(got, want) {
				t.Errorf("log=%v: no %q in\n%s", log, want, got)
			}
		}
	}
}

func TestScale(t *testing.T) {
	group := func(v ...float64) Bars {
		return Bars{Names: make([]string, len(v)), Groups: []Group{{Values: v}}}
	}
	const room = width - left - right
	for _, c := range []struct {
		bars  Bars
		v, at float64
	}{
		{group(0, 80), 0, left},
		{group(0, 80), 80, left + room},
		{group(0, 80), 40, left + room/2},
		{group(0, 11), 12, left + room},
	} {
		if got := newScale(c.bars).at(c.v); math.Abs(got-c.at) > 0.01 {
			t.Errorf("%v: %v is at %v, want %v", c.bars.Groups[0].Values, c.v, got, c.at)
		}
	}
	log := group(0.5, 500)
	log.Log = true
	for i, want := range []float64{left, left + room/4.0, left + room/2.0, left + room*3/4.0, left + room} {
		v := 0.1 * math.Pow(10, float64(i))
		if got := newScale(log).at(v); math.Abs(got-want) > 0.01 {
			t.Errorf("%v is at %v, want %v", v, got, want)
		}
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	for name, b := range map[string]Bars{
		"nothing":        {},
		"too many":       {Names: make([]string, 7), Groups: []Group{{Values: make([]float64, 7)}}},
		"values missing": {Names: []string{"a", "b"}, Groups: []Group{{Values: []float64{1}}}},
		"below zero":     {Names: []string{"a"}, Groups: []Group{{Values: []float64{-1}}}},
		"zero, log":      {Log: true, Names: []string{"a"}, Groups: []Group{{Values: []float64{0}}}},
		"infinite":       {Names: []string{"a"}, Groups: []Group{{Values: []float64{math.Inf(1)}}}},
	} {
		var e *Error
		if n, err := b.WriteTo(io.Discard); n != 0 || !errors.As(err, &e) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.1: "0.1", 1.256: "1.26", 12345.6: "12346", 999.6: "1000", 0.000123456: "0.000123", 80: "80"} {
		if got := number(v); got != want {
			t.Errorf("%v is written as %q, want %q", v, got, want)
		}
	}
}
