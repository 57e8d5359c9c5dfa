package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// binaries compiles test binaries once and runs their benchmarks.
type binaries struct {
	dir      string
	built    map[string]string // by package
	used     time.Duration     // of the processors, by benchmarks
	progress io.Writer
}

func newBinaries(progress io.Writer) (*binaries, error) {
	dir, err := os.MkdirTemp("", "limits")
	if err != nil {
		return nil, err
	}
	return &binaries{dir: dir, built: make(map[string]string), progress: progress}, nil
}

// close deletes what was compiled.
func (b *binaries) close() error { return os.RemoveAll(b.dir) }

// build returns the test binary of a package.
func (b *binaries) build(ctx context.Context, pkg string) (string, error) {
	if file, ok := b.built[pkg]; ok {
		return file, nil
	}
	fmt.Fprintf(b.progress, "building %s\n", pkg)
	file := filepath.Join(b.dir, fmt.Sprintf("%d.test", len(b.built)))
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", file, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s, which must be done inside the module: %w\n%s", pkg, err, out)
	}
	b.built[pkg] = file
	return file, nil
}

// buildSockets returns the program that compares servers.
func (b *binaries) buildSockets(ctx context.Context) (string, error) {
	const pkg = "./sockets"
	if file, ok := b.built[pkg]; ok {
		return file, nil
	}
	const module = "bench/peers" // of its own
	fmt.Fprintf(b.progress, "building %s in %s\n", pkg, module)
	file := filepath.Join(b.dir, "sockets")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, pkg)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s in %s: %w\n%s", pkg, module, err, out)
	}
	b.built[pkg] = file
	return file, nil
}

// count adds what a command, and what it has started and waited for, has used.
func (b *binaries) count(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		b.used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
}

// bench says which benchmark to run, and how.
type bench struct {
	pkg   string
	row   string // a benchmark, or one row of it
	time  string // as -benchtime has it
	count int    // runs
	cpu   int    // processors; 0 for all
	env   []string
}

// run returns what the benchmark has printed.
func (b *binaries) run(ctx context.Context, what bench) (figures, error) {
	file, err := b.build(ctx, what.pkg)
	if err != nil {
		return nil, err
	}
	args := []string{"-test.run", "^$", "-test.bench", exactly(what.row), "-test.benchtime", what.time, "-test.count", fmt.Sprint(what.count), "-test.timeout", "20m"}
	if what.cpu > 0 {
		args = append(args, "-test.cpu", fmt.Sprint(what.cpu))
	}
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Dir = what.pkg
	cmd.Env = append(os.Environ(), what.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	err = cmd.Run()
	b.count(cmd)
	if err != nil {
		return nil, fmt.Errorf("%s of %s, after %v: %w\n%s%s", what.row, what.pkg, time.Since(begin).Round(time.Second), err, stdout.String(), stderr.String())
	}
	return parse(stdout.String())
}

// exactly is the pattern of -bench that selects a row and what is below it.
func exactly(row string) string {
	return "^" + strings.ReplaceAll(row, "/", "$/^") + "$"
}
