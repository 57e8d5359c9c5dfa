package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// ledgerEnv names the file of a child process, to which it appends what it has handled.
const ledgerEnv = "PENSTOCK_SOURCETEST_LEDGER"

// Main runs source in a child process of the case that kills some, and returns true if this is
// one. A package calls it at the beginning of TestMain.
func Main(source func() (stage.Producer[Event], error)) bool {
	path := os.Getenv(ledgerEnv)
	if path == "" {
		return false
	}
	if err := child(path, source); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// child handles events until its standard input ends, and then drains. Each event is one
// write, which the process's death does not undo.
func child(path string, source func() (stage.Producer[Event], error)) error {
	ledger, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s, err := source()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	p := pipeline.New(pipeline.Config{})
	pipeline.Each(pipeline.From(p, s, pipeline.SourceConfig[Event]{}), func(_ context.Context, e Event) error {
		time.Sleep(3 * time.Millisecond)
		_, err := ledger.WriteString(e.Text() + "\n")
		return err
	}, byKey(8))
	return p.Run(ctx)
}

// KillWindow is the window of the source in a child process.
const KillWindow = 200

// kills: a process is killed again and again in the middle; the last one handles the rest.
func kills(t *testing.T, b Backend) {
	if b.Child == nil {
		t.Skip("the server is in this process")
	}
	n, times := 4000, 5
	if long() {
		n, times = 60_000, 50
	}
	list := events(n, 100)
	b.Append(t, list)
	path := filepath.Join(t.TempDir(), "ledger")
	lines := func() int {
		text, _ := os.ReadFile(path)
		return bytes.Count(text, []byte("\n"))
	}
	var gap time.Duration
	for range times {
		before, at := lines(), time.Now()
		cmd, _ := start(t, b, path)
		Until(t, "events of the next process", func() bool { return lines() > before })
		gap = max(gap, time.Since(at))
		time.Sleep(rand.N(300 * time.Millisecond))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	cmd, in := start(t, b, path)
	Until(t, "all acknowledged", func() bool { return b.Left(t) == 0 })
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the last process: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var l Ledger
	for line := range strings.Lines(string(text)) {
		e, err := Parse(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		l.Handle(e)
	}
	lost, twice := l.Check(list)
	if lost > 0 || twice > times*KillWindow {
		t.Errorf("%d lost, %d twice", lost, twice)
	}
	if b.Ordered && l.Disorder() > 0 {
		t.Errorf("%d out of the order of their keys", l.Disorder())
	}
	t.Logf("%d kills, %d of %d lost, %d twice, %d out of order by key; first events %v after a start at most", times, lost, n, twice, l.Disorder(), gap)
}

// start starts a child process.
func start(t testing.TB, b Backend, path string) (*exec.Cmd, io.Closer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), b.Child...), ledgerEnv+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, in
}
