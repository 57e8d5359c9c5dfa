package chart

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Lines is a picture of curves whose axes are logarithmic, so that a straight line up is
// growth by a power and a level one is none.
type Lines struct {
	Title  string
	X, Y   string // names of the axes, with units
	Series []Series
	// Marks are values of Y to draw a dashed line at, such as a goal.
	Marks []Mark
}

// Series is one curve.
type Series struct {
	Name   string
	Points []Point // in the order of X
}

// Point is a measured value; both its numbers are above 0.
type Point struct{ X, Y float64 }

// The room of the curves, in SVG's user units.
const (
	linesHeight = 420
	linesLeft   = 70
	linesRight  = 60
)

// check says what is wrong with the picture's data.
func (l Lines) check() error {
	if len(l.Series) == 0 {
		return &Error{"there is nothing to draw"}
	}
	if len(l.Series) > len(colours) {
		return &Error{fmt.Sprintf("%d series, and there are colours for %d", len(l.Series), len(colours))}
	}
	for _, s := range l.Series {
		if len(s.Points) == 0 {
			return &Error{fmt.Sprintf("series %q has no points", s.Name)}
		}
		for _, p := range s.Points {
			for _, v := range [...]float64{p.X, p.Y} {
				if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
					return &Error{fmt.Sprintf("series %q has the value %v, which a logarithmic axis does not have", s.Name, v)}
				}
			}
		}
	}
	return nil
}

// WriteTo writes the picture. It returns an [*Error] for data that cannot be
// drawn, and the error of w.
func (l Lines) WriteTo(w io.Writer) (int64, error) {
	if err := l.check(); err != nil {
		return 0, err
	}
	s := new(strings.Builder)
	l.draw(s)
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

func (l Lines) draw(s *strings.Builder) {
	x, y := l.axes()
	bottom := float64(linesHeight - 56)
	atX := func(v float64) float64 { return linesLeft + x.share(v)*(width-linesLeft-linesRight) }
	atY := func(v float64) float64 { return bottom - y.share(v)*(bottom-headline) }
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, linesHeight)
	fmt.Fprintf(s, `<title>%s</title>`+"\n", escape(l.Title))
	fmt.Fprintf(s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, linesHeight)
	text(s, 16, 24, `font-size="15" font-weight="bold"`, l.Title)
	names := make([]string, len(l.Series))
	for i := range l.Series {
		names[i] = l.Series[i].Name
	}
	Bars{Names: names}.legend(s)
	for _, t := range x.ticks {
		fmt.Fprintf(s, `<path d="M%.1f %dV%.1f" stroke="#ddd"/>`+"\n", atX(t), headline, bottom)
		text(s, atX(t), bottom+16, `fill="#555" text-anchor="middle"`, brief(t))
	}
	for _, t := range y.ticks {
		fmt.Fprintf(s, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", linesLeft, atY(t), width-linesRight)
		text(s, linesLeft-8, atY(t)+4, `fill="#555" text-anchor="end"`, brief(t))
	}
	text(s, (linesLeft+width-linesRight)/2, bottom+38, `fill="#555" text-anchor="middle"`, l.X)
	text(s, width-linesRight, 48, `fill="#555" text-anchor="end"`, l.Y)
	for _, m := range l.Marks {
		fmt.Fprintf(s, `<path d="M%d %.1fH%d" stroke="#a00" stroke-dasharray="4 3"/>`+"\n", linesLeft, atY(m.At), width-linesRight)
		text(s, width-linesRight+4, atY(m.At)+4, `fill="#a00"`, m.Name)
	}
	for i, series := range l.Series {
		var path strings.Builder
		for j, p := range series.Points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], atX(p.X), atY(p.Y))
		}
		fmt.Fprintf(s, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colours[i])
		for _, p := range series.Points {
			fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", atX(p.X), atY(p.Y), colours[i])
			text(s, max(atX(p.X), linesLeft+16), atY(p.Y)-8, `font-size="11" text-anchor="middle" fill="`+colours[i]+`"`, brief(p.Y))
		}
	}
	s.WriteString("</svg>\n")
}

// axes returns the ranges of round numbers that have all points and marks in them.
func (l Lines) axes() (x, y decades) {
	x, y = decades{math.Inf(1), 0, nil}, decades{math.Inf(1), 0, nil}
	for _, s := range l.Series {
		for _, p := range s.Points {
			x.take(p.X)
			y.take(p.Y)
		}
	}
	for _, m := range l.Marks {
		y.take(m.At)
	}
	x.round()
	y.round()
	return x, y
}

// decades is a logarithmic axis.
type decades struct {
	lo, hi float64
	ticks  []float64
}

func (d *decades) take(v float64) { d.lo, d.hi = min(d.lo, v), max(d.hi, v) }

// round widens the axis to 1, 2 or 5 times a power of ten, and sets the ticks: these numbers,
// or on a long axis the powers alone.
func (d *decades) round() {
	long := d.hi/d.lo > 1000
	var all []float64
	for e := math.Floor(math.Log10(d.lo)); e <= math.Ceil(math.Log10(d.hi)); e++ {
		for _, m := range [...]float64{1, 2, 5} {
			all = append(all, m*math.Pow(10, e))
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= d.lo*1.0001 {
		first++
	}
	for last > first+1 && all[last-1] >= d.hi*0.9999 {
		last--
	}
	d.lo, d.hi = all[first], all[last]
	for i, v := range all[first : last+1] {
		if !long || (first+i)%3 == 0 {
			d.ticks = append(d.ticks, v)
		}
	}
}

// share is where v is between the ends, from 0 to 1.
func (d *decades) share(v float64) float64 { return math.Log(v/d.lo) / math.Log(d.hi/d.lo) }

// brief writes v with three digits that count, and k, M or G for thousands, millions or more.
func brief(v float64) string {
	for _, u := range []struct {
		at   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.at*0.9995 {
			return number(v/u.at) + u.name
		}
	}
	return number(v)
}
