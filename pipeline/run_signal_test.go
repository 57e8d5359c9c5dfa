//go:build unix

package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pipeline"
)

// signalled is set in the process of TestRunUntilSignal, to the event in whose middle it is
// signalled.
const signalled = "PENSTOCK_TEST_SIGNALLED"

// The first signal drains: what was read is handled. The second one ends a process that drains.
func TestRunUntilSignal(t *testing.T) {
	if os.Getenv(signalled) != "" {
		runSignalled(t)
		return
	}
	for _, c := range []struct{ times, want string }{{"1", "drained: true\n"}, {"2", "signal: interrupt"}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRunUntilSignal$")
		cmd.Env = append(os.Environ(), signalled+"="+c.times)
		out, err := cmd.Output()
		if c.times == "2" && (err == nil || err.Error() != c.want) || c.times == "1" && (err != nil || string(out) != c.want) {
			t.Errorf("signalled %s times: %q, %v", c.times, out, err)
		}
	}
}

func runSignalled(t *testing.T) {
	signal := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
	}
	p := pipeline.New(pipeline.Config{Logger: quiet})
	read, handled, draining := 0, 0, make(chan struct{})
	in := pipeline.FromSeq(p, func(yield func(int) bool) {
		for read++; yield(read); read++ {
		}
		close(draining)
	}, pipeline.SourceConfig[int]{})
	pipeline.Each(in, func(context.Context, int) error {
		if handled++; handled == 100 {
			signal()
			if os.Getenv(signalled) == "2" {
				<-draining
				for range time.Tick(time.Millisecond) {
					signal() // the drain does not end
				}
			}
		}
		return nil
	}, pipeline.StepConfig[int]{})
	err := p.RunUntilSignal()
	_, _ = fmt.Fprintf(os.Stdout, "drained: %v\n", err == nil && handled >= 100 && handled == read)
	os.Exit(0)
}
