// Command limits runs the benchmarks that compare Penstock with bare channels and with
// itself, and prints what each reaches beside its goal, as met or missed:
//
//	go run ./bench/limits
//	go run ./bench/limits -only W3 -count 5
//
// Each figure is the median of -count runs; a benchmark that has a reference runs it in turns
// with what it measures, so that ratios hold on a machine that is shared. -only is a part of
// a work's name. The sockets' side has a command of its own, make channels-bench.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
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

// run measures and prints the table. A missed goal is printed and is no error; a benchmark
// that does not print its figure is one.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("limits", flag.ContinueOnError)
	flags.SetOutput(progress)
	count := flags.Int("count", 3, "runs of each benchmark, of which the median counts, 1 or more")
	length := flags.Duration("time", time.Second, "length of a run, 10ms or more")
	only := flags.String("only", "", "measure only works whose name contains this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	case *count < 1:
		return fmt.Errorf("-count %d is not allowed: 1 or more", *count)
	case *length < 10*time.Millisecond:
		return fmt.Errorf("-time %v is not allowed: 10ms or more", *length)
	}
	chosen := choose(*only)
	if len(chosen) == 0 {
		return fmt.Errorf("-only %q: no work has this in its name", *only)
	}
	var results []result
	done := make(map[string]figures)
	for _, g := range chosen {
		f, ok := done[g.bench]
		if !ok {
			fmt.Fprintf(progress, "measuring %s, %d times\n", g.bench, *count)
			text, err := benchmark(ctx, g, *count, *length)
			if err != nil {
				return err
			}
			if f, err = parse(text); err != nil {
				return err
			}
			done[g.bench] = f
		}
		v, n := f.median(g.row, g.unit)
		if n == 0 {
			return fmt.Errorf("%s did not print %s of %s", g.bench, g.unit, g.row)
		}
		results = append(results, result{g, v})
	}
	return table(ctx, out, results)
}

// benchmark runs one function of Go's benchmarks, and returns what it printed.
func benchmark(ctx context.Context, g goal, count int, length time.Duration) (string, error) {
	time := length.String()
	if g.once {
		time = "1x"
	}
	cmd := exec.CommandContext(ctx, "go", "test", g.pkg, "-run", "^$", "-bench", "^"+g.bench+"$", "-count", fmt.Sprint(count), "-benchtime", time, "-timeout", "20m")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// result is what was measured of a goal.
type result struct {
	goal
	value float64
}

func table(ctx context.Context, out io.Writer, results []result) error {
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	fmt.Fprintf(out, "%s, commit %s, %d processors, %s\n\n", time.Now().UTC().Format(time.DateOnly), bytes.TrimSpace(commit), runtime.GOMAXPROCS(0), runtime.Version())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "work\tfigure\treached\tgoal\t")
	missed := 0
	for _, r := range results {
		verdict := "met"
		if !r.met(r.value) {
			verdict = "missed"
			missed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.work, r.unit, number(r.value), r.want(), verdict)
	}
	fmt.Fprintf(w, "\n%d of %d goals missed\n", missed, len(results))
	return w.Flush()
}

// number is a figure with three digits that count.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
