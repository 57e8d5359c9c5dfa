package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// comparison is a command of bench/peers, a module of its own, that measures works.
type comparison struct {
	name  string // of the file of results
	args  []string
	works string // the flag that chooses works
}

// comparisons are with others: short rounds, since others are far away or close all the same.
var comparisons = []comparison{
	{"works", []string{"run", ".", "-time", "300ms"}, "-work"},
	{"handover", []string{"run", ".", "-handover", "-time", "300ms"}, "-work"},
	{"sockets", []string{"run", "./sockets", "-peers", "penstock,centrifuge,centrifuge-tuned,gws,nbio", "-rounds", "1"}, "-works"},
}

// contest is a figure of which others were measured too.
type contest struct {
	work, figure string // of the row
	comparison   string
	in, unit     string  // the work and the unit of the results
	by           float64 // what a result is multiplied by for the row
	lowest       bool    // less is better
}

// contests are in the order of the table. A row may have several.
func contests() []contest {
	all := []contest{
		{work: "W1 counter → consumer, demand 10/5", comparison: "handover", in: "W1-10"},
		{work: "W1, 100/50", comparison: "handover", in: "W1-100"},
		{work: "W1, 1000/500", comparison: "handover", in: "W1-1000"},
		{work: "W1, 1000/500", comparison: "works", in: "W1"},
		{work: "W2, two producer-consumers between, 1000/500", comparison: "works", in: "W2"},
		{work: "W3, `Partition` into 4 by hash", comparison: "works", in: "W3"},
		{work: "W5, `Broadcast` to 8", comparison: "works", in: "W5"},
		{work: "W6, pushes from outside, one goroutine", comparison: "handover", in: "W6"},
	}
	for i := range all {
		all[i].figure, all[i].unit, all[i].by = "events/s", "M/s", 1e6
	}
	for _, s := range socketRows {
		all = append(all, contest{s.work, s.figure, "sockets", s.in, s.unit, 1, s.lowest})
	}
	return all
}

// contestNames are the works of the rows.
func contestNames() (names []string) {
	for _, c := range contests() {
		names = append(names, c.work)
	}
	return names
}

// besidePeers runs what others have been measured in. A comparison that fails costs its own
// rows.
func besidePeers(ctx context.Context, o options, b *binaries) ([]row, error) {
	var chosen []contest
	for _, c := range contests() {
		if strings.Contains(c.work, o.only) {
			chosen = append(chosen, c)
		}
	}
	folder := b.dir
	if o.peers != "" {
		folder = o.peers
	}
	here := report.ThisMachine(ctx)
	done := make(map[string]report.Results)
	var failures []error
	for _, c := range comparisons {
		var works []string
		for _, in := range chosen {
			if in.comparison == c.name {
				works = append(works, in.in)
			}
		}
		if len(works) == 0 {
			continue
		}
		r, err := c.results(ctx, b, folder, here, works)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			failures = append(failures, err)
		}
		done[c.name] = r
	}
	return peerRows(chosen, done), errors.Join(failures...)
}

// results returns what a file in the folder has of the same machine, commit and day, if that
// has all the works, or what the command measures now. That is kept in the file unless the command
// fails; what the file had is never returned in its place.
func (c comparison) results(ctx context.Context, b *binaries, folder string, here report.Machine, works []string) (report.Results, error) {
	works = slices.Compact(works)
	file, err := filepath.Abs(filepath.Join(folder, c.name+".json"))
	if err != nil {
		return report.Results{}, err
	}
	r, found, err := report.ReadResults(file)
	if err != nil {
		return r, err
	}
	if found && r.Of(here) && r.Has(works...) {
		fmt.Fprintf(b.progress, "others were measured today: %s\n", file)
		return r, nil
	}
	written := filepath.Join(b.dir, c.name+"-now.json")
	cmd := exec.CommandContext(ctx, "go", append(slices.Clone(c.args), c.works, strings.Join(works, ","), "-json", written)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "bench/peers", b.progress, b.progress
	failed := cmd.Run()
	r, found, err = report.ReadResults(written)
	switch {
	case failed != nil:
		return r, errors.Join(fmt.Errorf("%s in %s: %w", strings.Join(cmd.Args, " "), cmd.Dir, failed), err)
	case err == nil && !found:
		err = fmt.Errorf("%s wrote no results", strings.Join(cmd.Args, " "))
	case err == nil:
		err = r.Write(file)
	}
	return r, err
}

// peerRows returns a row for each work with the best of the others, and ours of the same run.
func peerRows(chosen []contest, done map[string]report.Results) (rows []row) {
	at := make(map[[2]string]int) // by work and figure
	ratios := make(map[int]float64)
	for _, c := range chosen {
		results := done[c.comparison]
		ours, found := results.Best(report.Ours, c.in, c.unit, c.lowest)
		peer, others := results.Best(report.Peer, c.in, c.unit, c.lowest)
		if !found || !others {
			continue
		}
		ratio := ours.Value / peer.Value
		r := row{work: c.work, figure: c.figure, ours: number(c.by * ours.Value),
			peer: fmt.Sprintf("%s, %s", number(c.by*peer.Value), peer.Name), ofPeer: fmt.Sprintf("%.2f", ratio)}
		key := [2]string{c.work, c.figure}
		i, known := at[key]
		switch {
		case !known:
			at[key], ratios[len(rows)] = len(rows), ratio
			rows = append(rows, r)
		case c.lowest == (ratio > ratios[i]): // closer to the others, or behind them
			rows[i], ratios[i] = r, ratio
		}
	}
	return rows
}

// mergePeers moves the best peers into the rows with the same figure that stand before them.
// Others keep a row of their own.
func mergePeers(rows []row) (merged []row) {
	for _, r := range rows {
		i := slices.IndexFunc(merged, func(m row) bool { return m.work == r.work && m.figure == r.figure && m.peer == "" })
		if r.peer == "" || i < 0 {
			merged = append(merged, r)
			continue
		}
		merged[i].peer, merged[i].ofPeer = r.peer, r.ofPeer
	}
	return merged
}
