// Command limits measures what Penstock reaches beside what is possible on the machine, and
// prints each figure with its limit and its goal, as met or missed:
//
//	go run ./bench/limits                       everything; ten minutes
//	go run ./bench/limits -only W3 -count 5     works with this in their name
//	go run ./bench/limits -section sockets      one part: engine, presence, pushes, sockets, bare, peers
//	go run ./bench/limits -guard                has a share of the reference fallen by a third?
//	go run ./bench/limits -growth -svg docs/img how figures grow with size, with pictures
//
// Each figure of a Go benchmark is the median of -count runs. One that has a reference runs
// it in turns with what it measures, so that ratios hold on a machine that is shared; other
// figures need a machine that does nothing else.
//
// The guard compares such ratios with those in base.json. After a change that is meant to
// cost something, go run ./bench/limits -guard -renew measures that file anew.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "limits:", err)
		os.Exit(1)
	}
}

type options struct {
	count         int
	length        time.Duration
	only, section string
	guard, renew  bool
	slowed        bool
	growth        bool
	svg, write    string
	peers         string
}

func readFlags(args []string, progress io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("limits", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&o.count, "count", 3, "runs of each benchmark, of which the median counts, 1 or more")
	flags.DurationVar(&o.length, "time", 500*time.Millisecond, "length of a run, 10ms or more")
	flags.StringVar(&o.only, "only", "", "measure only works, with -guard only rows, whose name contains this")
	flags.StringVar(&o.section, "section", "", "measure only these parts of the table, or of the growth, such as engine,sockets")
	flags.BoolVar(&o.guard, "guard", false, "fail if a share of the reference has fallen by more than a third; some 17 s, up to a minute more for what has fallen")
	flags.BoolVar(&o.renew, "renew", false, "with -guard: write the shares of now to "+baseFile)
	flags.BoolVar(&o.slowed, "slowed", false, "with -guard: let our side of the benchmarks work twice, to see that the guard fails")
	flags.BoolVar(&o.growth, "growth", false, "measure how figures grow with size; five minutes")
	flags.StringVar(&o.svg, "svg", "", "with -growth: draw the figures into this `folder`")
	flags.StringVar(&o.write, "write", "", "also put what is printed between its marks in this Markdown `file`")
	flags.StringVar(&o.peers, "peers", "", "a `folder`, made if it is not there, for what others reach: what it has of the same machine, commit and day is not measured again")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	case o.count < 1:
		return o, fmt.Errorf("-count %d is not allowed: 1 or more", o.count)
	case o.length < 10*time.Millisecond:
		return o, fmt.Errorf("-time %v is not allowed: 10ms or more", o.length)
	case (o.renew || o.slowed) && !o.guard:
		return o, errors.New("-renew and -slowed go with -guard")
	case o.renew && (o.slowed || o.only != ""):
		return o, errors.New("-renew measures all rows as they are: neither -slowed nor -only")
	case o.svg != "" && !o.growth:
		return o, errors.New("-svg goes with -growth")
	case o.peers != "" && (o.guard || o.growth):
		return o, errors.New("-peers is for the table: neither -guard nor -growth")
	case o.peers != "" && o.section != "" && !slices.Contains(strings.Split(o.section, ","), "peers"):
		return o, errors.New("-peers needs -section peers, or no -section")
	case o.write != "" && (o.guard || o.only != "" || o.section != ""):
		return o, errors.New("-write writes whole tables: neither -guard, -only nor -section")
	}
	return o, nil
}

// run does what the flags say. A missed goal is printed and is no error; a part that cannot
// be measured is one, after the table has been printed.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := readFlags(args, progress)
	if err != nil {
		return err
	}
	if o.peers != "" { // before minutes of measuring
		if err := os.MkdirAll(o.peers, 0o777); err != nil {
			return fmt.Errorf("-peers: %w", err)
		}
	}
	b, err := newBinaries(progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.guard {
		return runGuard(ctx, o, b, out)
	}
	name, measure := "limits", runTable
	if o.growth {
		name, measure = "growth", runGrowth
	}
	var text strings.Builder
	err = measure(ctx, o, b, io.MultiWriter(out, &text))
	if o.write == "" || err != nil || ctx.Err() != nil {
		return err // a part of the tables does not take the place of whole ones
	}
	return report.Replace(o.write, name, []byte(text.String()))
}

func runGuard(ctx context.Context, o options, b *binaries, out io.Writer) error {
	measure := measureShare(b, o.slowed)
	rows := chooseRows(o, runtime.GOOS, out)
	if o.renew {
		was, err := readBase(baseText, nil)
		if err != nil {
			return err
		}
		return renew(ctx, rows, was, measure, out)
	}
	if len(rows) == 0 {
		return fmt.Errorf("-only %q: no row of the guard has this in its name", o.only)
	}
	was, err := readBase(baseText, rows)
	if err != nil {
		return err
	}
	// All is built now, so that it is no other work.
	if _, err := b.build(ctx, engine); err != nil {
		return err
	}
	if slices.ContainsFunc(rows, func(row string) bool { return slices.Contains(socketWorks, row) }) {
		if _, err := b.buildSockets(ctx); err != nil {
			return err
		}
	}
	pauses, others := guardPauses, b.others()
	if o.slowed {
		pauses = pauses[:1] // it is slow each time, whatever else runs
		others = func() float64 { return 0 }
	}
	return guard(ctx, rows, was, pauses, measure, others, out)
}

// chooseRows returns the rows that the flags choose, without those that the system cannot measure.
func chooseRows(o options, system string, out io.Writer) (rows []string) {
	for _, row := range guarded {
		if !strings.Contains(row, o.only) || o.slowed && slices.Contains(socketWorks, row) {
			continue
		}
		if system != "linux" && slices.Contains(socketWorks, row) {
			fmt.Fprintf(out, "%s needs Linux and is left out.\n", row)
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

func runTable(ctx context.Context, o options, b *binaries, out io.Writer) error {
	chosen, err := chooseSections(sections, o.section)
	if err != nil {
		return err
	}
	begin := time.Now()
	var rows []row
	var failures []error
	for _, s := range chosen {
		if o.only != "" && !s.has(o.only) {
			continue
		}
		if o.only == "" {
			fmt.Fprintf(b.progress, "-- %s, about %v\n", s.name, s.about)
		}
		measured, err := s.rows(ctx, o, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", s.name, err))
			if len(measured) == 0 {
				reason, _, _ := strings.Cut(err.Error(), "\n")
				measured = []row{{work: s.name, figure: "not measured: " + reason}}
			}
		}
		rows = append(rows, measured...)
	}
	if len(rows) == 0 {
		return cmp.Or(errors.Join(failures...), fmt.Errorf("-only %q: no work has this in its name", o.only))
	}
	fmt.Fprintf(out, "%s; measured in %v\n\n", report.ThisMachine(ctx), time.Since(begin).Round(time.Second))
	if err := table(out, mergePeers(rows)); err != nil {
		return err
	}
	if slices.ContainsFunc(chosen, func(s section) bool { return s.name == "peers" }) {
		fmt.Fprintln(out, peersNote)
	} else {
		fmt.Fprintln(out, "Others were not measured: -section peers.")
	}
	return errors.Join(failures...)
}

// peersNote says what the figures of others are.
const peersNote = `The best peers were measured by the commands of bench/peers, in short rounds.
ours/peer is the ratio within these rounds.`

// chooseSections returns those that a list of names means, all for an empty one, in the order of
// the table.
func chooseSections(all []section, names string) (chosen []section, err error) {
	if names == "" {
		return slices.DeleteFunc(slices.Clone(all), func(s section) bool { return s.asked }), nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(s section) bool { return s.name == name }) {
			return nil, fmt.Errorf("-section: there is no %q", name)
		}
	}
	for _, s := range all {
		if slices.Contains(wanted, s.name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}
