// Package chart draws bars as SVG, for the pictures of measured figures in docs.
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bars is a picture of groups of horizontal bars.
type Bars struct {
	Title string
	Unit  string   // of the axis, such as "ms"
	Log   bool     // logarithmic axis; values must then be above 0
	Names []string // what the bars of each group stand for, in the legend
	// Marks are values to draw a dashed line at, such as an aim.
	Marks  []Mark
	Groups []Group
}

// Group is a few bars that belong together.
type Group struct {
	Name string
	// Values has one bar for each of the names. NaN stands for none, which
	// Note then explains.
	Values []float64
	Note   string // drawn in place of a missing bar; "none" if empty
}

// Mark is a line across all bars.
type Mark struct {
	Name string
	At   float64
}

// What a picture is measured by, in SVG's user units.
const (
	width    = 860
	left     = 230 // names of groups
	right    = 90  // the figure after the longest bar
	bar      = 16
	gap      = 14 // between groups
	headline = 64 // title and legend
	foot     = 48 // axis and names of marks
)

// colours are told apart by people with the usual kinds of colour blindness
// (after Okabe and Ito, "Color Universal Design", 2008).
var colours = [...]string{"#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"}

// Error says why a picture cannot be drawn.
type Error struct{ Reason string }

func (e *Error) Error() string { return "chart: " + e.Reason }

// check says what is wrong with the picture's data.
func (b Bars) check() error {
	if len(b.Groups) == 0 || len(b.Names) == 0 {
		return &Error{"there is nothing to draw"}
	}
	if len(b.Names) > len(colours) {
		return &Error{fmt.Sprintf("%d names, and there are colours for %d", len(b.Names), len(colours))}
	}
	for _, g := range b.Groups {
		if len(g.Values) != len(b.Names) {
			return &Error{fmt.Sprintf("group %q has %d values, want one for each of %d names", g.Name, len(g.Values), len(b.Names))}
		}
		for _, v := range g.Values {
			if !math.IsNaN(v) && (math.IsInf(v, 0) || v < 0 || b.Log && v == 0) {
				return &Error{fmt.Sprintf("group %q has the value %v, which this axis does not have", g.Name, v)}
			}
		}
	}
	return nil
}

// WriteTo writes the picture. It returns an [*Error] for data that cannot be
// drawn, and the error of w.
func (b Bars) WriteTo(w io.Writer) (int64, error) {
	if err := b.check(); err != nil {
		return 0, err
	}
	s := new(strings.Builder)
	b.draw(s)
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

func (b Bars) draw(s *strings.Builder) {
	axis := newScale(b)
	body := 0
	for range b.Groups {
		body += bar*len(b.Names) + gap
	}
	height := headline + body + foot
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	fmt.Fprintf(s, `<title>%s</title>`+"\n", escape(b.Title))
	fmt.Fprintf(s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(s, 16, 24, `font-size="15" font-weight="bold"`, b.Title)
	b.legend(s)
	end := headline + body
	for _, t := range axis.ticks {
		x := axis.at(t)
		fmt.Fprintf(s, `<path d="M%.1f %dV%d" stroke="#ddd"/>`+"\n", x, headline, end)
		text(s, x, float64(end)+16, `fill="#555" text-anchor="middle"`, number(t))
	}
	text(s, width-right+26, float64(end)+16, `fill="#555"`, b.Unit)
	y := headline
	for _, g := range b.Groups {
		y += gap / 2
		text(s, left-8, float64(y)+float64(bar*len(b.Names))/2+4, `text-anchor="end"`, g.Name)
		for i, v := range g.Values {
			if math.IsNaN(v) {
				note := g.Note
				if note == "" {
					note = "none"
				}
				text(s, left+4, float64(y)+12, `fill="#555" font-style="italic"`, note)
			} else {
				fmt.Fprintf(s, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y+1, max(1, axis.at(v)-left), bar-2, colours[i])
				text(s, max(left+1, axis.at(v))+4, float64(y)+12, "", number(v))
			}
			y += bar
		}
		y += gap - gap/2
	}
	for _, m := range b.Marks {
		x := axis.at(m.At)
		fmt.Fprintf(s, `<path d="M%.1f %dV%d" stroke="#a00" stroke-dasharray="4 3"/>`+"\n", x, headline, end)
		text(s, x, float64(end)+32, `fill="#a00" text-anchor="middle"`, m.Name)
	}
	s.WriteString("</svg>\n")
}

// legend names the colours, below the title.
func (b Bars) legend(s *strings.Builder) {
	x := 16.0
	for i, name := range b.Names {
		fmt.Fprintf(s, `<rect x="%.0f" y="37" width="12" height="12" fill="%s"/>`+"\n", x, colours[i])
		text(s, x+17, 48, "", name)
		x += 34 + 7*float64(len(name))
	}
}

func text(s *strings.Builder, x, y float64, style, content string) {
	if style != "" {
		style = " " + style
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f"%s>%s</text>`+"\n", x, y, style, escape(content))
}

func escape(content string) string {
	var s strings.Builder
	// A strings.Builder takes everything.
	_ = xml.EscapeText(&s, []byte(content))
	return s.String()
}

// number writes v with three digits that count, and no exponent.
func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	s := strconv.FormatFloat(v, 'g', 3, 64)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
