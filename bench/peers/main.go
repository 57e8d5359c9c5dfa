package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// contestants are in the order of the table; the first one is the reference.
func contestants() []contestant {
	return []contestant{
		recycled,
		penstock,
		channels("chan int, buffer 1000", 1000),
		channels("chan int, unbuffered", 0),
		ergoStage,
		samberRo,
		goStreams,
		goStreamsSlices,
		watermillChannel,
	}
}

func main() {
	if err := mainErr(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if err != flag.ErrHelp {
			fmt.Fprintln(os.Stderr, "peers:", err)
		}
		os.Exit(2)
	}
}

func mainErr(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(progress)
	budget := flags.Duration("time", time.Second, "how long each contestant is measured for each work")
	only := flags.String("work", "", "measure these works only, such as W1,W3")
	svg := flags.String("svg", "", "draw the rates into this file as well")
	pipelines := flags.Bool("pipelines", false, "compare what pipelines do with their policies, instead of how fast events are moved")
	handover := flags.Bool("handover", false, "compare the hand-over alone, in batches and from outside, also with Rust and Java if cargo and mvn are there")
	write := flags.String("write", "", "with -handover: put the whole table into this `document` as well")
	results := flags.String("json", "", "write what was measured into this `file` as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *budget <= 0 {
		return fmt.Errorf("-time is %v and must be above 0", *budget)
	}
	all, among := contestants(), works
	switch {
	case *write != "" && (!*handover || *only != ""):
		return errors.New("-write puts the whole table of -handover into a document: with -handover and without -work")
	case *pipelines && *handover:
		return errors.New("-pipelines and -handover are two tables: one of them at a time")
	case *pipelines:
		all, among = pipelineContestants(), pipelineWorks
	case *handover:
		among = handoverWorks
	}
	chosen, err := choose(among, *only)
	if err != nil {
		return err
	}
	if *handover {
		rows, end := prepare(foreigners, progress)
		defer end()
		all = handoverContestants(rows)
	}
	if err := requireKinds(all); err != nil {
		return err
	}
	patience = 2*time.Second + 2**budget
	entries := make([][]entry, len(chosen))
	for i, w := range chosen {
		fmt.Fprintf(progress, "%s: %s\n", w.name, w.what)
		entries[i] = compete(w, all, *budget)
	}
	var printed bytes.Buffer
	if err := table(io.MultiWriter(out, &printed), chosen, all, entries, *handover); err != nil {
		return err
	}
	if *write != "" {
		if err := report.Replace(*write, "handover", printed.Bytes()); err != nil {
			return err
		}
	}
	if *results != "" {
		if err := measured(chosen, all, entries).Write(*results); err != nil {
			return err
		}
	}
	if *svg == "" {
		return nil
	}
	return draw(*svg, chosen, all, entries)
}

// requireKinds returns an error if it is not said what a contestant is: a way of our own without a
// kind would be the best of the peers.
func requireKinds(all []contestant) error {
	for _, c := range all {
		switch c.kind {
		case report.Ours, report.Peer, report.Limit:
		default:
			return fmt.Errorf("contestant %q has the kind %q, allowed: %s, %s, %s", c.name, c.kind, report.Ours, report.Peer, report.Limit)
		}
	}
	return nil
}

// choose returns those of works that a list of names means, all for an empty one.
func choose(works []work, names string) ([]work, error) {
	if names == "" {
		return works, nil
	}
	var chosen []work
	for name := range strings.SplitSeq(names, ",") {
		before := len(chosen)
		for _, w := range works {
			if w.name == name {
				chosen = append(chosen, w)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no work %q", name)
		}
	}
	return chosen, nil
}

// table prints rates in millions of events a second and ratios to the first
// contestant, as Markdown, with the reasons for dashes and what the works are.
// With costs, the processor time of an event follows.
func table(out io.Writer, chosen []work, all []contestant, results [][]entry, costs bool) error {
	fmt.Fprintf(out, "%s.\nMillions of events a second, and the ratio to the reference in the first row", report.ThisMachine(context.Background()))
	if costs {
		fmt.Fprint(out, ",\nand the processor time of an event, of all threads together")
	}
	fmt.Fprint(out, ".\n\n")
	tw := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	head, line := "| \t| version", "|-\t|-"
	for _, w := range chosen {
		head += "\t| " + w.name
		line += "\t|-"
	}
	fmt.Fprintf(tw, "%s\t|\n%s\t|\n", head, line)
	var notes []string
	for i, c := range all {
		row := fmt.Sprintf("| %s\t| %s", c.name, version(c.module))
		for j, w := range chosen {
			e := results[j][i]
			cell := "—"
			if e.perSecond > 0 {
				cell = fmt.Sprintf("%.4g", e.perSecond/1e6)
				if reference := results[j][0].perSecond; reference > 0 {
					cell += fmt.Sprintf(" (%.3g)", e.perSecond/reference)
				}
				if costs {
					cell += fmt.Sprintf(", %.3g ns", e.cpu)
				}
			} else {
				notes = append(notes, fmt.Sprintf("— %s, %s: %s.", c.name, w.name, e.reason))
			}
			row += "\t| " + cell
		}
		fmt.Fprintf(tw, "%s\t|\n", row)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, w := range chosen {
		fmt.Fprint(out, report.Item(w.name+": "+w.what+"."))
	}
	for _, c := range all {
		if c.comment != "" {
			fmt.Fprint(out, report.Item(c.name+": "+c.comment+"."))
		}
	}
	for _, note := range notes {
		fmt.Fprint(out, report.Item(note))
	}
	return nil
}

// measured returns the rates, in millions of events a second, as other commands read them.
func measured(chosen []work, all []contestant, entries [][]entry) report.Results {
	r := report.Results{Machine: report.ThisMachine(context.Background())}
	for i, w := range chosen {
		for j, c := range all {
			if e := entries[i][j]; e.perSecond > 0 {
				r.Results = append(r.Results, report.Result{Work: w.name, Name: c.name, Kind: c.kind, Unit: "M/s", Value: e.perSecond / 1e6})
			}
		}
	}
	return r
}

// version is that of a module in this build.
func version(module string) string {
	if module == "" {
		return "-"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version
			}
		}
	}
	return "unknown"
}
