package pipelinetest

import (
	"context"
	"testing"

	"github.com/penstock-go/penstock/pipeline"
)

// Running is a pipeline that a test runs.
type Running struct {
	done chan struct{}
	err  error // written before done is closed
	seen bool  // the test has read err
}

// Run runs p until the test ends, when p is drained. The test fails if p ends with an error
// that it has not asked for with Wait.
func Run(t testing.TB, p *pipeline.Pipeline) *Running {
	t.Helper()
	r := &Running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.Run(context.Background())
	}()
	t.Cleanup(func() {
		p.Drain()
		<-r.done
		if r.err != nil && !r.seen {
			t.Errorf("pipeline %q: %v", p.Name(), r.err)
		}
	})
	return r
}

// Done is closed when the pipeline has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits until the pipeline has ended and returns the error of its Run. It is called
// in the test's goroutine.
func (r *Running) Wait() error {
	<-r.done
	r.seen = true
	return r.err
}
