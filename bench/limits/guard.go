package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// guarded are the rows whose share of the reference must not fall. Not among them are W4,
// whose reference is twice as fast when other processes keep its goroutines from meeting at
// their channel, and W6's delays, which differ tenfold from run to run on a shared machine.
var guarded = []string{
	"BenchmarkW1/10/5",
	"BenchmarkW1/100/50",
	"BenchmarkW1/1000/500",
	"BenchmarkW2",
	"BenchmarkW2Receipts",
	"BenchmarkW3",
	"BenchmarkW5",
	"BenchmarkChain/stages=16",
	"BenchmarkChain/stages=64",
	"room",
	"users",
}

// socketWorks are the rows of them that are works of bench/peers/sockets, whose reference is its
// bare loop. On other systems than Linux they are left out.
var socketWorks = []string{"room", "users"}

// guardConns is how many clients these have: enough for writes of many messages, few enough to
// connect in no time.
const guardConns = 1000

const (
	ofReference    = "of-ref"
	ofReferenceCPU = "of-ref-cpu"
	mayFall        = 1.0 / 3 // of the base
	guardRounds    = 3
	guardTime      = 100 * time.Millisecond // of a side, in a round
	guardCPU       = 2                      // ratios depend on the number of processors
	quietBelow     = 0.1                    // of the machine for other processes
	crowdedFrom    = 0.75                   // the same: nothing can be said of a share
	baseFile       = "bench/limits/base.json"
)

// guardPauses come before a row that has fallen is measured again.
var guardPauses = []time.Duration{time.Second, 10 * time.Second, 20 * time.Second}

// baseText is what the shares were when they were last looked at.
//
//go:embed base.json
var baseText []byte

// share is what is left of the reference's speed, and of its processor time. Other work on
// the machine changes the first more than the second.
type share struct {
	Time float64 `json:"time"`
	CPU  float64 `json:"cpu"`
}

// state is what one measurement says of a row.
type state int

const (
	holds state = iota
	fell
	notJudged // it has fallen while others had too much of the machine
)

// judge says whether s is less than two thirds of what it was, while other processes had some of
// the machine. On one that is not quiet a fall of the time alone says nothing, on a crowded one
// that of the processor time neither.
func (s share) judge(was share, others float64) state {
	slower, busier := s.Time < was.Time*(1-mayFall), s.CPU < was.CPU*(1-mayFall)
	switch {
	case !slower && !busier:
		return holds
	case others < quietBelow, busier && others < crowdedFrom:
		return fell
	}
	return notJudged
}

// base is the content of base.json.
type base struct {
	Commit string           `json:"commit"`
	Date   string           `json:"date"`
	Shares map[string]share `json:"shares"` // by row
}

// errFallen is the end of a guard that has found something.
var errFallen = errors.New("a share of the reference has fallen by more than a third")

// measurement returns the shares of one run of a row that lasts about so long.
type measurement func(ctx context.Context, row string, length time.Duration) (share, error)

// measureShare runs ours and the reference in turns, of a benchmark in one process. slowed runs
// ours twice where it should run once, for the proof that the guard sees it.
func measureShare(b *binaries, slowed bool) measurement {
	return func(ctx context.Context, row string, length time.Duration) (share, error) {
		if slices.Contains(socketWorks, row) {
			return measureSockets(ctx, b, row, max(1, int(length/guardTime)))
		}
		what := bench{pkg: engine, row: row, time: length.String(), count: 1, cpu: guardCPU}
		if slowed {
			what.env = []string{"PENSTOCK_SLOWED=1"}
		}
		f, err := b.run(ctx, what)
		if err != nil {
			return share{}, err
		}
		v, n := f.median(row, ofReference)
		cpu, m := f.median(row, ofReferenceCPU)
		if n == 0 || m == 0 {
			return share{}, fmt.Errorf("%s did not print %s and %s", row, ofReference, ofReferenceCPU)
		}
		return share{v, cpu}, nil
	}
}

// measureSockets returns the shares of a work, medians of so many rounds.
func measureSockets(ctx context.Context, b *binaries, work string, rounds int) (share, error) {
	program, err := b.buildSockets(ctx)
	if err != nil {
		return share{}, err
	}
	file := filepath.Join(b.dir, "guard.json")
	cmd := socketsCommand(ctx, program, work, rounds, file)
	out, err := cmd.CombinedOutput()
	b.count(cmd)
	if err != nil {
		return share{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	results, _, err := report.ReadResults(file)
	if err != nil {
		return share{}, err
	}
	return socketShare(results, work)
}

// socketsCommand has as many processors for the server and for the clients' loops as the benchmarks.
func socketsCommand(ctx context.Context, program, work string, rounds int, file string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, "-peers", "bare,penstock", "-works", work, "-conns", fmt.Sprint(guardConns), "-rounds", fmt.Sprint(rounds), "-json", file)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", guardCPU))
	return cmd
}

// socketShare returns ours beside the bare loop: of the rate, and of the server's processor time.
func socketShare(results report.Results, work string) (s share, err error) {
	ours, found1 := results.Best(report.Ours, work, "M/s", false)
	limit, found2 := results.Best(report.Limit, work, "M/s", false)
	cpu, found3 := results.Best(report.Ours, work, "server us", true)
	least, found4 := results.Best(report.Limit, work, "server us", true)
	if !found1 || !found2 || !found3 || !found4 {
		return s, fmt.Errorf("the comparison has not all figures of %s: %+v", work, results.Results)
	}
	return share{ours.Value / limit.Value, least.Value / cpu.Value}, nil
}

// shares measures all rows in turns, so that no row has all its runs in the same bad moment,
// and returns their medians.
func shares(ctx context.Context, rows []string, rounds int, length time.Duration, measure measurement) (map[string]share, error) {
	f := make(figures)
	for range rounds {
		for _, row := range rows {
			v, err := measure(ctx, row, length)
			if err != nil {
				return nil, err
			}
			f.add(row, ofReference, v.Time)
			f.add(row, ofReferenceCPU, v.CPU)
		}
	}
	medians := make(map[string]share, len(rows))
	for _, row := range rows {
		var s share
		s.Time, _ = f.median(row, ofReference)
		s.CPU, _ = f.median(row, ofReferenceCPU)
		medians[row] = s
	}
	return medians, nil
}

// guard compares each row with its base and prints a table. A row that has fallen is
// measured again after each of the pauses, for longer, and fails if it has fallen every time:
// what else runs on the host comes and goes, a slower program stays slow. Where others kept
// it from being judged whenever it was measured again, the table and the last line say so and
// the row does not fail. others is the share of the machine that other processes have had since it was
// last called.
func guard(ctx context.Context, rows []string, was base, pauses []time.Duration, measure measurement, others func() float64, out io.Writer) error {
	others()
	now, err := shares(ctx, rows, guardRounds, guardTime, measure)
	if err != nil {
		return err
	}
	taken := others()
	first := maps.Clone(now)
	down, fallen := judgeRows(rows, now, was, taken)
	for i, pause := range pauses {
		if len(down) == 0 {
			break
		}
		if i == 0 {
			clear(fallen) // the first measurement, which is short, does not suffice
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		others()
		again, err := shares(ctx, down, guardRounds, 3*guardTime, measure)
		if err != nil {
			return err
		}
		maps.Copy(now, again)
		since := others()
		taken = max(taken, since)
		var more map[string]bool
		down, more = judgeRows(down, now, was, since)
		maps.Copy(fallen, more)
	}
	maps.DeleteFunc(fallen, func(row string, _ bool) bool { return !slices.Contains(down, row) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "row\t%s\tbase of %s\tnow/base\t%s\tbase\tnow/base\t\n", ofReference, was.Commit, ofReferenceCPU)
	for _, row := range rows {
		v, verdict := now[row], "ok"
		if fallen[row] {
			verdict = "FALLEN"
		} else if slices.Contains(down, row) {
			verdict = "not judged"
		}
		if v != first[row] {
			verdict += fmt.Sprintf(", %.3g and %.3g at first", first[row].Time, first[row].CPU)
		}
		b := was.Shares[row]
		fmt.Fprintf(w, "%s\t%.3g\t%.3g\t%.2f\t%.3g\t%.3g\t%.2f\t%s\n", strings.TrimPrefix(row, "Benchmark"), v.Time, b.Time, v.Time/b.Time, v.CPU, b.CPU, v.CPU/b.CPU, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if taken >= quietBelow {
		fmt.Fprintf(out, "Other processes had up to %.0f %% of the machine; while they had %.0f %% or more only %s was judged, with %.0f %% or more no fall.\n", 100*taken, 100*quietBelow, ofReferenceCPU, 100*crowdedFrom)
	}
	if n := len(down) - len(fallen); n > 0 {
		fmt.Fprintf(out, "%d of %d rows were not judged.\n", n, len(rows))
	}
	if len(fallen) > 0 {
		return fmt.Errorf("%w; if that is meant: go run ./bench/limits -guard -renew, on a machine that does nothing else", errFallen)
	}
	return nil
}

// judgeRows returns those of the rows that do not hold, and which of them have fallen; the
// others were not judged.
func judgeRows(rows []string, now map[string]share, was base, others float64) (down []string, fallen map[string]bool) {
	fallen = make(map[string]bool)
	for _, row := range rows {
		s := now[row].judge(was.Shares[row], others)
		if s != holds {
			down = append(down, row)
		}
		if s == fell {
			fallen[row] = true
		}
	}
	return down, fallen
}

// readBase reads the file and checks that it has the rows.
func readBase(text []byte, rows []string) (was base, err error) {
	if err := json.Unmarshal(text, &was); err != nil {
		return was, fmt.Errorf("%s: %w", baseFile, err)
	}
	for _, row := range rows {
		if s := was.Shares[row]; s.Time <= 0 || s.CPU <= 0 {
			return was, fmt.Errorf("%s has no %s: go run ./bench/limits -guard -renew", baseFile, row)
		}
	}
	return was, nil
}

// renew measures rows of the base anew and writes it. Rows that are not measured stay as they were.
func renew(ctx context.Context, rows []string, was base, measure measurement, out io.Writer) error {
	now, err := shares(ctx, rows, 2*guardRounds+1, 2*guardTime, measure)
	if err != nil {
		return err
	}
	for row, s := range now {
		now[row] = share{math.Round(s.Time*1000) / 1000, math.Round(s.CPU*1000) / 1000}
	}
	here := report.ThisMachine(ctx)
	all := maps.Clone(now)
	for _, row := range guarded {
		if _, measured := now[row]; !measured && was.Shares[row] != (share{}) {
			all[row] = was.Shares[row]
			fmt.Fprintf(out, "%s stays as it was, of %s.\n", row, was.Commit)
		}
	}
	text, err := json.MarshalIndent(base{Commit: here.Commit, Date: here.Date, Shares: all}, "", "  ")
	if err != nil {
		return err
	}
	for _, row := range slices.Sorted(maps.Keys(now)) {
		fmt.Fprintf(out, "%-28s %.3f %.3f\n", row, now[row].Time, now[row].CPU)
	}
	return os.WriteFile(baseFile, append(text, '\n'), 0o644)
}
