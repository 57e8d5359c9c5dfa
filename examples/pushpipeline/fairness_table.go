package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock-go/penstock/bench/chart"
)

// milliseconds returns d in milliseconds, rounded to hundredths.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// printFindings writes the table. What a flood does to its victims comes first.
// Jain's index comes last, since one user in a hundred who gets nothing hardly
// changes it.
func printFindings(w io.Writer, cfg config, all []finding) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d users with %g pushes a second together, from %s to WebSocket clients in this process; user 1 floods with a multiple of that.\n"+
		"%d workers, %s for a push: %.0f pushes a second. %s for each run, after %s of the same.\n"+
		"Times run from when a push was due until its client has it; one that never came counts with the time it had waited.\n\n",
		cfg.Users-1, cfg.Rate, cfg.Source, cfg.Workers, cfg.Work, capacity(cfg), cfg.Duration, warmup(cfg))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tflood\tp99 ratio\tmin share\tlag\tp50\tp99\tlost\tout of order\tserved/s\toffered\tJain\t")
	for _, f := range all {
		// The run without a flood is compared with itself.
		ratio := "1"
		if f.flood > 0 {
			ratio = fmt.Sprintf("%.2f", f.ratio(0.99))
		}
		void := ""
		if f.void() {
			void = " VOID"
		}
		fmt.Fprintf(t, "%s\t%gx\t%s\t%.3f\t%d\t%.2f ms\t%.2f ms\t%d\t%d\t%.0f\t%.2f %%%s\t%.4f\t\n",
			f.rival, f.flood, ratio, f.MinShare, f.Lag, milliseconds(f.quantile(0.5)), milliseconds(f.quantile(0.99)),
			f.Lost, f.disorder, f.Served, f.Offered*100, void, f.Jain)
	}
	_ = t.Flush() // into a strings.Builder
	fmt.Fprintf(&b, `
p99 ratio: the victims' p99 over theirs without the flood, under the same dispatcher; the aim is %g.
min share: the least share of a victim's pushes that had arrived %s after the end. lag: the most pushes of one victim
that were due and had not arrived at any time. lost: victims' pushes that had not arrived. offered: how much of the schedule was kept;
below %g %% the run is void.
`, fairnessAim, fairnessSettle, fairnessKept*100)
	_, err := io.WriteString(w, b.String())
	return err
}

// capacity is how many pushes a second the workers get through at best. Without work
// it is not bounded.
func capacity(cfg config) float64 {
	if cfg.Work == 0 {
		return math.Inf(1)
	}
	return float64(cfg.Workers) / cfg.Work.Seconds()
}

// printFindingsJSON writes the same as one JSON object.
func printFindingsJSON(w io.Writer, cfg config, all []finding) error {
	type row struct {
		Dispatcher string  `json:"dispatcher"`
		Flood      float64 `json:"flood"`
		Ratio      float64 `json:"p99_ratio"`
		MinShare   float64 `json:"min_share"`
		Lag        int     `json:"lag"`
		P50        float64 `json:"p50_ms"`
		P99        float64 `json:"p99_ms"`
		Pushes     int     `json:"victims_pushes"`
		Lost       int     `json:"victims_lost"`
		Disorder   int64   `json:"out_of_order"`
		Served     float64 `json:"served_per_s"`
		Offered    float64 `json:"offered"`
		Void       bool    `json:"void"`
		Jain       float64 `json:"jain"`
	}
	out := struct {
		Source string  `json:"source"`
		Users  int     `json:"victims"`
		Rate   float64 `json:"victims_rate"`
		Runs   []row   `json:"runs"`
	}{Source: cfg.Source, Users: cfg.Users - 1, Rate: cfg.Rate}
	for _, f := range all {
		out.Runs = append(out.Runs, row{f.rival, f.flood, f.ratio(0.99), f.MinShare, f.Lag, milliseconds(f.quantile(0.5)),
			milliseconds(f.quantile(0.99)), f.Pushes, f.Lost, f.disorder, f.Served, f.Offered, f.void(), f.Jain})
	}
	return json.NewEncoder(w).Encode(out)
}

// picture shows the victims' p99 ratios.
func picture(cfg config, all []finding) chart.Bars {
	p := chart.Bars{
		Title: fmt.Sprintf("Victims' p99 under a flood over theirs without, from %s to WebSocket clients", cfg.Source),
		Unit:  "times", Log: true, Marks: []chart.Mark{{Name: fmt.Sprintf("aim %g", fairnessAim), At: fairnessAim}},
	}
	// The first is the run that the others are compared with.
	for _, flood := range floods[1:] {
		p.Names = append(p.Names, fmt.Sprintf("one user at %g times the rate of all others", flood))
	}
	for _, r := range rivals {
		g := chart.Group{Name: r.name, Note: "void"}
		for _, f := range all {
			if f.rival != r.name || f.flood == 0 {
				continue
			}
			v := f.ratio(0.99)
			if f.void() || f.calm.quantile(0.99) == 0 {
				// The picture shows no bar for it, only the note.
				v = math.NaN()
			}
			g.Values = append(g.Values, v)
		}
		p.Groups = append(p.Groups, g)
	}
	return p
}
