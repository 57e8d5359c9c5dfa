//go:build unix

package pipeline_test

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/penstock-go/penstock/pipeline"
)

// Without signals RunUntilSignal drains at SIGTERM as at an interrupt; with signals it does at
// those. Either way Run returns nil, and what was read is handled.
func TestRunUntilSignalDrainsAtItsSignals(t *testing.T) {
	for _, c := range []struct {
		sent  syscall.Signal
		given []os.Signal
	}{
		{syscall.SIGTERM, nil},
		{syscall.SIGINT, nil},
		{syscall.SIGUSR1, []os.Signal{syscall.SIGUSR1}},
		{syscall.SIGUSR2, []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}},
	} {
		t.Run(c.sent.String(), func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			read, handled := 0, 0
			in := pipeline.FromRead(p, func() (int, error) { read++; return read, nil }, sourceConfig{})
			pipeline.Each(in, func(context.Context, int) error {
				if handled++; handled == 10 {
					return syscall.Kill(os.Getpid(), c.sent)
				}
				return nil
			}, stepConfig{})
			if err := p.RunUntilSignal(c.given...); err != nil || handled < 10 || handled != read {
				t.Errorf("%v, %d of %d handled", err, handled, read)
			}
		})
	}
}
