package sourcetest

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// Running is a pipeline that runs.
type Running struct {
	t      testing.TB
	cancel context.CancelFunc
	ended  chan error
}

// Begin runs a source into a function.
func Begin[T any](t testing.TB, source stage.Producer[T], f func(context.Context, T) error, step pipeline.StepConfig[T]) *Running {
	t.Helper()
	p := pipeline.New(pipeline.Config{DrainTimeout: 20 * time.Second})
	pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[T]{}), f, step)
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{t: t, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- p.Run(ctx) }()
	return r
}

// Drain ends the pipeline in good order.
func (r *Running) Drain() {
	r.t.Helper()
	if err := r.end(); err != nil {
		r.t.Errorf("the pipeline: %v", err)
	}
}

// end ends the pipeline and returns what Run has returned.
func (r *Running) end() error {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		r.t.Fatalf("the drain does not end:\n%s", goroutines())
		return nil
	}
}

// goroutines returns the stacks of all goroutines, which say what stands still.
func goroutines() []byte {
	stacks := make([]byte, 1<<20)
	return stacks[:runtime.Stack(stacks, true)]
}

// patience is for what takes a moment, also on a machine that is busy with other work.
const patience = 2 * time.Minute

// Until waits for a condition.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v not yet: %s\n%s", patience, what, goroutines())
		}
	}
}
