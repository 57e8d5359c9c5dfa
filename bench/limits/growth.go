package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock-go/penstock/bench/chart"
	"github.com/penstock-go/penstock/bench/internal/report"
)

// growth is a picture of how figures change with one size.
type growth struct {
	name   string // also of the file
	title  string
	x, y   string
	goal   float64 // a value of y; 0 for none
	curves []curve
}

// curve is a figure of all rows of a benchmark, whose names end with the size.
type curve struct {
	name      string
	benchmark string // empty: measured with sockets
	unit      string
	by        float64 // what the printed figure is multiplied by
	rounds    string  // as -benchtime has them, for a benchmark that takes long to begin; empty: as long as -time
}

var growths = []growth{
	{
		"chains", "Chains of producer-consumers: share of what bare channels with as many hops reach", "producer-consumers", "share of the reference", 0.9,
		[]curve{{"demand 1000/500", "BenchmarkGrowthChain", ofReference, 1, ""}},
	},
	{
		"partitions", "Events a second through Partition by the number of partitions, each with a consumer", "partitions", "events a second", 40e6,
		[]curve{{"demand 1000/500", "BenchmarkW3Growth", "events/s", 1, ""}},
	},
	{
		"consumers", "What an ask costs with all that follows from it, by the number of consumers", "consumers of one producer", "ns an ask", 0,
		[]curve{{"demand 10/5", "BenchmarkGrowthConsumers", "ns/ask", 1, ""}},
	},
	{
		"keys", "What an event costs the fair dispatcher, by the number of keys that have an event waiting", "keys", "ns an event", 0,
		[]curve{{"fair dispatcher", "BenchmarkGrowthKeys", "ns/op", 1, "2000000x"}},
	},
	{
		"connections", "Memory of the server for each idle connection that has joined a topic", "connections", "KB a connection", 0,
		[]curve{{"as it is", "", perConnection, 1, ""}, {"after unused memory is given back", "", perConnectionReleased, 1, ""}},
	},
	{
		"room", "What a delivery to a room costs the server, by the number of clients in it", "clients in the room", "µs of CPU a delivery", 0,
		[]curve{{"flat out", "", perDelivery, 1, ""}},
	},
}

// curves measures each benchmark once, and the sockets once.
type curves struct {
	o       options
	b       *binaries
	done    map[string]figures
	sockets map[string][]chart.Point
}

func (m *curves) points(ctx context.Context, c curve) ([]chart.Point, error) {
	if c.benchmark == "" {
		if m.sockets == nil {
			var err error
			if m.sockets, err = growSockets(ctx, m.b); err != nil {
				return nil, err
			}
		}
		return m.sockets[c.unit], nil
	}
	f, ok := m.done[c.benchmark]
	if !ok {
		fmt.Fprintf(m.b.progress, "measuring %s, %d times\n", strings.TrimPrefix(c.benchmark, "Benchmark"), m.o.count)
		var err error
		if f, err = m.b.run(ctx, bench{pkg: engine, row: c.benchmark, time: cmp.Or(c.rounds, m.o.length.String()), count: m.o.count}); err != nil {
			return nil, err
		}
		m.done[c.benchmark] = f
	}
	return f.growth(c)
}

// growth returns the medians of a curve's rows by their size.
func (f figures) growth(c curve) (points []chart.Point, err error) {
	for at := range f {
		if at[1] != c.unit || !strings.HasPrefix(at[0], c.benchmark+"/") {
			continue
		}
		size := strings.TrimLeft(strings.TrimPrefix(at[0], c.benchmark+"/"), "abcdefghijklmnopqrstuvwxyz=")
		x, err := strconv.ParseFloat(size, 64)
		if err != nil {
			return nil, fmt.Errorf("the name of %s does not end with a size", at[0])
		}
		y, _ := f.median(at[0], at[1])
		points = append(points, chart.Point{X: x, Y: y * c.by})
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("%s did not print %s", c.benchmark, c.unit)
	}
	slices.SortFunc(points, func(a, b chart.Point) int { return int(a.X - b.X) })
	return points, nil
}

func runGrowth(ctx context.Context, o options, b *binaries, out io.Writer) error {
	chosen := growths
	if o.section != "" {
		chosen = nil
		for name := range strings.SplitSeq(o.section, ",") {
			i := slices.IndexFunc(growths, func(g growth) bool { return g.name == name })
			if i < 0 {
				return fmt.Errorf("-section: there is no growth %q", name)
			}
			chosen = append(chosen, growths[i])
		}
	}
	begin := time.Now()
	m := &curves{o: o, b: b, done: make(map[string]figures)}
	fmt.Fprintf(out, "%s\n", report.ThisMachine(ctx))
	var failures []error
	for _, g := range chosen {
		picture := chart.Lines{Title: g.title, X: g.x, Y: g.y}
		if g.goal > 0 {
			picture.Marks = []chart.Mark{{Name: "goal", At: g.goal}}
		}
		var failed error
		for _, c := range g.curves {
			points, err := m.points(ctx, c)
			if failed = err; err != nil {
				break
			}
			picture.Series = append(picture.Series, chart.Series{Name: c.name, Points: points})
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed != nil {
			reason, _, _ := strings.Cut(failed.Error(), "\n")
			fmt.Fprintf(out, "\n%s: not measured: %s\n", g.name, reason)
			failures = append(failures, failed)
			continue
		}
		if err := growthTable(out, picture); err != nil {
			return err
		}
		if err := drawGrowth(o.svg, g.name, picture); err != nil {
			return err
		}
	}
	fmt.Fprintf(b.progress, "measured in %v\n", time.Since(begin).Round(time.Second))
	return errors.Join(failures...)
}

// growthTable prints the numbers of a picture as Markdown.
func growthTable(out io.Writer, l chart.Lines) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "\n%s:\n\n| %s\t", l.Title, l.X)
	for _, s := range l.Series {
		fmt.Fprintf(w, "| %s, %s\t", l.Y, s.Name)
	}
	fmt.Fprint(w, "|\n|-\t"+strings.Repeat("|-\t", len(l.Series))+"|\n")
	for i, p := range l.Series[0].Points {
		fmt.Fprintf(w, "| %.0f\t", p.X)
		for _, s := range l.Series {
			fmt.Fprintf(w, "| %s\t", number(s.Points[i].Y))
		}
		fmt.Fprint(w, "|\n")
	}
	return w.Flush()
}

// drawGrowth writes growth-NAME.svg into the folder, if there is one.
func drawGrowth(folder, name string, l chart.Lines) error {
	if folder == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(folder, "growth-"+name+".svg"))
	if err != nil {
		return err
	}
	_, err = l.WriteTo(f)
	return errors.Join(err, f.Close())
}
