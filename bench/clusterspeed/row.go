package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// row is one line of the table.
type row struct {
	Backplane string  `json:"backplane"`
	Work      string  `json:"work"`
	Ours      float64 `json:"ours"`
	Unit      string  `json:"unit"`
	// Reference is the same figure of the bare client library, 0 without one.
	Reference float64 `json:"reference,omitempty"`
	Goal      *goal   `json:"goal,omitempty"`
	// Void is why the figure does not count, such as pushes that were lost.
	Void string `json:"void,omitempty"`
}

// goal is what a figure, or its ratio to the reference, is to reach.
type goal struct {
	Limit float64 `json:"limit"`
	// Most means that the limit is the largest that is allowed, not the least.
	Most bool `json:"most,omitempty"`
	// Ratio means that the ratio is judged.
	Ratio bool `json:"ratio,omitempty"`
}

func least(limit float64) *goal      { return &goal{Limit: limit} }
func most(limit float64) *goal       { return &goal{Limit: limit, Most: true} }
func leastRatio(limit float64) *goal { return &goal{Limit: limit, Ratio: true} }

// ratio is ours to the reference, 0 without one.
func (r row) ratio() float64 {
	if r.Reference == 0 {
		return 0
	}
	return r.Ours / r.Reference
}

// verdict judges a row: empty without a goal.
func (r row) verdict() string {
	switch {
	case r.Void != "":
		return "MISSED: " + r.Void
	case r.Goal == nil:
		return ""
	}
	value := r.Ours
	if r.Goal.Ratio {
		value = r.ratio()
	}
	if r.Goal.Most && value <= r.Goal.Limit || !r.Goal.Most && value >= r.Goal.Limit {
		return "met"
	}
	return "MISSED"
}

// cells are the columns of a row.
func (r row) cells() []string {
	reference, ratio, target := "", "", ""
	if r.Reference > 0 {
		reference, ratio = figure(r.Reference)+" "+r.Unit, figure(r.ratio())
	}
	if g := r.Goal; g != nil {
		target = ">= "
		if g.Most {
			target = "<= "
		}
		target += figure(g.Limit)
		if !g.Ratio {
			target += " " + r.Unit
		}
	}
	return []string{r.Backplane, r.Work, figure(r.Ours) + " " + r.Unit, reference, ratio, target, r.verdict()}
}

// figure is a number with three digits that matter, and thousands apart.
func figure(v float64) string {
	switch {
	case v >= 1000:
		text := strconv.FormatFloat(v, 'f', 0, 64)
		for at := len(text) - 3; at > 0; at -= 3 {
			text = text[:at] + "," + text[at:]
		}
		return text
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

var headings = []string{"backplane", "work", "ours", "reference", "ratio", "goal", ""}

// table writes the rows as Markdown.
func table(w io.Writer, rows []row) error {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(headings)
	b.WriteString(strings.Repeat("|---", len(headings)) + "|\n")
	for _, r := range rows {
		line(r.cells())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// document writes the rows as JSON, with where they were measured.
func document(w io.Writer, machine string, rows []row) error {
	type judged struct {
		row
		Ratio   float64 `json:"ratio,omitempty"`
		Verdict string  `json:"verdict,omitempty"`
	}
	all := make([]judged, len(rows))
	for i, r := range rows {
		all[i] = judged{r, r.ratio(), r.verdict()}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Machine string   `json:"machine"`
		Rows    []judged `json:"rows"`
	}{machine, all})
}
