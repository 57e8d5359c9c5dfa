package pipeline

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// RunUntilSignal is [Pipeline.Run] for the function main of a program: the first of these
// signals drains the pipeline, and the second one does what it does without this call, so
// that it ends a process whose drain takes too long. Without signals they are an interrupt
// (Ctrl-C) and SIGTERM.
func (p *Pipeline) RunUntilSignal(signals ...os.Signal) error {
	if len(signals) == 0 {
		signals = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	return p.Run(ctx)
}
