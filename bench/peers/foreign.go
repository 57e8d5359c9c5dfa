package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-go/penstock/bench/internal/report"
)

// foreign is a program in another language: it is built once, and then does what single
// lines of its standard input say, so that a virtual machine is warm.
type foreign struct {
	language string
	tool     string // that builds it
	folder   string
	build    []string // a command in the folder
	start    []string // the same
	rows     []foreignRow

	process *os.Process
	in      io.WriteCloser
	out     *bufio.Reader
}

// foreignRow is a row of the table.
type foreignRow struct {
	name, argument, comment string
	kind                    report.Kind
	cannot                  map[string]string
}

var foreigners = []*foreign{
	{language: "Rust", tool: "cargo", folder: "rust",
		build: []string{"cargo", "build", "--release", "--locked", "--quiet"},
		start: []string{"./target/release/handover"},
		rows: []foreignRow{
			{name: "tokio mpsc, batches", argument: "tokio-batches", kind: report.Peer, comment: "the same Vecs go round between two bounded channels and two tasks",
				cannot: map[string]string{"W6": "the row below has it"}},
			{name: "tokio mpsc, events", argument: "tokio-many", kind: report.Peer, comment: "reserve_many and recv_many of a batch; W6: blocking_send and recv_many"},
			{name: "crossbeam", argument: "crossbeam", kind: report.Peer, comment: "the same Vecs go round between two bounded channels and two threads; W6: single events"},
			{name: "loops alone, Rust", argument: "loops", kind: report.Limit, comment: "no hand-over: a Vec is filled and added up in one thread", cannot: map[string]string{"W6": noHandOver}},
		}},
	{language: "Java", tool: "mvn", folder: "java",
		build: []string{"mvn", "--quiet", "--batch-mode", "compile"},
		start: []string{"java", "-cp", "target/classes" + string(filepath.ListSeparator) + "target/lib/*", "penstock.Handover"},
		rows: []foreignRow{
			{name: "Disruptor, yielding", argument: "disruptor-yielding", kind: report.Peer, comment: "rings of 16, 128, 1,024 and 16,384 slots, a batch claimed and published at once, waiting without sleep; W6: single events, several producers allowed"},
			{name: "Disruptor, blocking", argument: "disruptor-blocking", kind: report.Peer, comment: "the same, waiting with a lock"},
			{name: "loops alone, Java", argument: "loops", kind: report.Limit, comment: "no hand-over: an array is filled and added up in one thread", cannot: map[string]string{"W6": noHandOver}},
		}},
}

// prepare builds the programs and starts them. A language of which the tool is not there, or
// whose program cannot be built and started, is left out, with a line that says why. The
// function that it returns ends them.
func prepare(all []*foreign, progress io.Writer) (rows []contestant, end func()) {
	var started []*foreign
	end = func() {
		for _, f := range started {
			f.end()
		}
	}
	for _, f := range all {
		if _, err := exec.LookPath(f.tool); err != nil {
			fmt.Fprintf(progress, "%s is not there: the rows of %s are left out\n", f.tool, f.language)
			continue
		}
		fmt.Fprintf(progress, "building %s\n", f.folder)
		if err := f.begin(); err != nil {
			fmt.Fprintf(progress, "the rows of %s are left out: %s\n", f.language, oneLine(err))
			continue
		}
		started = append(started, f)
		for _, r := range f.rows {
			c := contestant{name: r.name, comment: r.comment, kind: r.kind, cannot: r.cannot, runs: make(map[string]runner),
				cpu: func() time.Duration { return cpuOf(f.process.Pid) }}
			for work, size := range inFlight {
				if r.cannot[work] == "" {
					kind, _, _ := strings.Cut(work, "-")
					c.runs[work] = func(n int) (time.Duration, []sum, error) {
						return f.run(fmt.Sprintf("%s %s %d %d %d", r.argument, kind, size.max, size.batch, n))
					}
				}
			}
			rows = append(rows, c)
		}
	}
	return rows, end
}

// oneLine is an error with the lines of its text joined, cut if they are many.
func oneLine(err error) string {
	const most = 400
	text := []rune(strings.Join(strings.Fields(err.Error()), " "))
	if len(text) > most {
		return string(text[:most]) + " …"
	}
	return string(text)
}

// begin builds and starts the program.
func (f *foreign) begin() error {
	if f.build != nil {
		build := exec.Command(f.build[0], f.build[1:]...)
		build.Dir = f.folder
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(f.build, " "), err, out)
		}
	}
	cmd := exec.Command(f.start[0], f.start[1:]...)
	cmd.Dir, cmd.Stderr = f.folder, os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return err
	}
	f.process, f.in, f.out = cmd.Process, in, bufio.NewReader(out)
	return nil
}

// end ends the program, which does when nothing more can come.
func (f *foreign) end() {
	_ = f.in.Close()
	_, _ = f.process.Wait() // however it has ended
}

// run does one command.
func (f *foreign) run(command string) (time.Duration, []sum, error) {
	if _, err := fmt.Fprintln(f.in, command); err != nil {
		return 0, nil, err
	}
	line, err := f.out.ReadString('\n')
	if err != nil {
		return 0, nil, fmt.Errorf("%s has ended: %w", f.language, err)
	}
	var took int64
	var s sum
	if _, err := fmt.Sscan(line, &took, &s.count, &s.total); err != nil {
		return 0, nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
	}
	return time.Duration(took), []sum{s}, nil
}
