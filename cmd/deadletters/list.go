package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/penstock-go/penstock/deadletter"
)

// maxCell bounds the text of an error in a table, in characters.
const maxCell = 60

// list prints a table of the letters.
func (t *tool) list(ctx context.Context) error {
	if t.json {
		return t.eachJSON(ctx)
	}
	table := newTable(t.out, "N", "TIME", "STAGE", "ERROR", "ATTEMPTS", "SOURCE", "KEY")
	for i, err := range t.items(ctx) {
		if err != nil {
			return errors.Join(table.end(), err)
		}
		table.row(rowOf(i)...)
	}
	return table.end()
}

// rowOf returns a letter's cells.
func rowOf(i item) []any {
	return []any{i.number, stamp(i.Last), plain(i.Stage, maxCell), plain(i.Error, maxCell), i.Attempts, plain(i.Source, maxCell), plain(i.Key, maxCell)}
}

// eachJSON prints the letters as JSON, with their numbers.
func (t *tool) eachJSON(ctx context.Context) error {
	for i, err := range t.items(ctx) {
		if err != nil {
			return err
		}
		if err := t.line(struct {
			N int `json:"n"`
			deadletter.Letter
		}{i.number, i.Letter}); err != nil {
			return err
		}
	}
	return nil
}

// line prints v as a line of JSON.
func (t *tool) line(v any) error {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// show prints one letter.
func (t *tool) show(ctx context.Context) error {
	if t.json {
		return t.eachJSON(ctx)
	}
	for i, err := range t.items(ctx) {
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
		for _, field := range [][2]string{
			{"pipeline", i.Pipeline}, {"stage", i.Stage}, {"error", i.Error}, {"encode error", i.EncodeError},
			{"attempts", fmt.Sprint(i.Attempts)}, {"first", stamp(i.First)}, {"last", stamp(i.Last)},
			{"source", i.Source}, {"key", i.Key},
		} {
			if field[1] != "" {
				fmt.Fprintf(w, "%s:\t%s\n", field[0], plain(field[1], 0))
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return t.event(i.Letter)
	}
	return fmt.Errorf("there is no letter %d", t.number)
}

// event prints a letter's event: JSON over several lines, other bytes as a dump.
func (t *tool) event(l deadletter.Letter) error {
	data, err := l.Bytes()
	if err != nil {
		return err
	}
	var v json.RawMessage
	pretty, err := json.MarshalIndent(json.RawMessage(data), "", "  ")
	switch {
	case err == nil && json.Unmarshal(data, &v) == nil:
		_, err = fmt.Fprintf(t.out, "event:\n%s\n", pretty)
	default:
		_, err = fmt.Fprintf(t.out, "event, %d bytes:\n%s", len(data), hex.Dump(data))
	}
	return err
}

// group is the letters of a stage with the same error.
type group struct {
	Stage string    `json:"stage"`
	Error string    `json:"error"`
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// count prints how many letters there are of each group, the largest first.
func (t *tool) count(ctx context.Context) error {
	groups := map[[2]string]*group{}
	for i, err := range t.items(ctx) {
		if err != nil {
			return err
		}
		key := [2]string{i.Stage, i.Error}
		g := groups[key]
		if g == nil {
			g = &group{Stage: i.Stage, Error: i.Error, First: i.First}
			groups[key] = g
		}
		g.Count++
		if i.First.Before(g.First) {
			g.First = i.First
		}
		if i.Last.After(g.Last) {
			g.Last = i.Last
		}
	}
	all := slices.SortedFunc(maps.Values(groups), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Stage, b.Stage), strings.Compare(a.Error, b.Error))
	})
	if t.json {
		for _, g := range all {
			if err := t.line(g); err != nil {
				return err
			}
		}
		return nil
	}
	table, sum := newTable(t.out, "COUNT", "STAGE", "ERROR", "FIRST", "LAST"), 0
	for _, g := range all {
		sum += g.Count
		table.row(g.Count, plain(g.Stage, maxCell), plain(g.Error, maxCell), stamp(g.First), stamp(g.Last))
	}
	if len(all) != 1 {
		table.row(sum, "(all)", "", "", "")
	}
	return table.end()
}

// table prints rows of aligned cells.
type table struct {
	w    *tabwriter.Writer
	rows int
	err  error
}

func newTable(out io.Writer, head ...any) *table {
	t := &table{w: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
	t.row(head...)
	return t
}

// row adds a row. Rows are printed a thousand at a time, so that a large table takes no
// memory: each such part has its own widths.
func (t *table) row(cells ...any) {
	for i, c := range cells {
		end := "\t"
		if i == len(cells)-1 {
			end = "\n"
		}
		if _, err := fmt.Fprint(t.w, c, end); err != nil {
			t.err = err
		}
	}
	if t.rows++; t.rows%1000 == 0 {
		t.err = errors.Join(t.err, t.w.Flush())
	}
}

func (t *table) end() error { return errors.Join(t.err, t.w.Flush()) }

// stamp returns a time as tables have it.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// plain returns a text without what could control a terminal or break a table, cut after
// most characters; 0: not cut. It comes from the failed event, which is not to be trusted.
func plain(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; most > 0 && n > most {
			b.WriteString("...")
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '·'
		}
		b.WriteRune(r)
	}
	return b.String()
}
