package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	l := Lines{
		Title: "growth <of> it", X: "keys", Y: "ns an event",
		Series: []Series{{"ours", []Point{{1000, 80}, {1e6, 400}}}, {"theirs", []Point{{1000, 1500}}}},
		Marks:  []Mark{{"goal", 100}},
	}
	var s strings.Builder
	if _, err := l.WriteTo(&s); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(s.String()))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, s.String())
		}
	}
	for _, want := range []string{"growth &lt;of&gt; it", ">ours<", ">theirs<", ">goal<", ">400<", ">1.5k<", ">1M<"} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("no %q in\n%s", want, s.String())
		}
	}
	if n := strings.Count(s.String(), "<circle"); n != 3 {
		t.Errorf("%d points", n)
	}
}

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		values []float64
		lo, hi float64
		ticks  int
	}{
		{[]float64{1, 1024}, 1, 2000, 4},
		{[]float64{100, 19_000}, 100, 20_000, 8},
		{[]float64{3, 3}, 2, 5, 2},
		{[]float64{0.3, 40}, 0.2, 50, 8},
		{[]float64{1e3, 1e6}, 1e3, 1e6, 10},
	} {
		d := decades{lo: math.Inf(1)}
		for _, v := range c.values {
			d.take(v)
		}
		d.round()
		if math.Abs(d.lo/c.lo-1) > 1e-9 || math.Abs(d.hi/c.hi-1) > 1e-9 || len(d.ticks) != c.ticks {
			t.Errorf("%v: %+v, want %v to %v with %d ticks", c.values, d, c.lo, c.hi, c.ticks)
		}
		if math.Abs(d.share(d.lo)) > 1e-9 || math.Abs(d.share(d.hi)-1) > 1e-9 {
			t.Errorf("%v: the ends are at %v and %v", c.values, d.share(d.lo), d.share(d.hi))
		}
	}
}

func TestLinesThatCannotBeDrawn(t *testing.T) {
	for name, l := range map[string]Lines{
		"nothing":   {},
		"no points": {Series: []Series{{Name: "a"}}},
		"zero":      {Series: []Series{{"a", []Point{{0, 1}}}}},
		"infinite":  {Series: []Series{{"a", []Point{{1, math.Inf(1)}}}}},
		"too many":  {Series: make([]Series, 7)},
	} {
		var e *Error
		if n, err := l.WriteTo(io.Discard); n != 0 || !errors.As(err, &e) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}
