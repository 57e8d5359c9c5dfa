package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/penstock-go/penstock/pipeline"
)

func ExampleFromSeq() {
	p := newPipeline()
	in := pipeline.FromSeq(p, slices.Values([]string{"a", "b"}), pipeline.SourceConfig[string]{})
	pipeline.Each(in, printWord, pipeline.StepConfig[string]{})
	fmt.Println(p.Run(context.Background()))
	// Output:
	// a
	// b
	// <nil>
}

// A line that cannot be read ends the pipeline; those before it are handled.
func ExampleFromSeq2() {
	p := newPipeline()
	in := pipeline.FromSeq2(p, func(yield func(string, error) bool) {
		_ = yield("a", nil) && yield("", errors.New("the disk is gone"))
	}, pipeline.SourceConfig[string]{Name: "lines"})
	pipeline.Each(in, printWord, pipeline.StepConfig[string]{})
	err := p.Run(context.Background())
	fmt.Println(err != nil)
	// Output:
	// a
	// true
}

// The mistake is reported before anything starts.
func TestFromSeqNeedsAnIterator(t *testing.T) {
	p := newPipeline()
	pipeline.Each(pipeline.FromSeq[string](p, nil, pipeline.SourceConfig[string]{Name: "lines"}), printWord, pipeline.StepConfig[string]{})
	pipeline.Each(pipeline.FromSeq2[string](p, nil, pipeline.SourceConfig[string]{Name: "more"}), printWord, pipeline.StepConfig[string]{})
	const want = `pipeline step "lines": option seq refused: nil iter.Seq[string]; allowed: an iterator
pipeline step "more": option seq refused: nil iter.Seq2[string,error]; allowed: an iterator`
	if err := p.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// A drain makes yield return false: the iterator knows where it has stopped, and what it
// has yielded is handled.
func TestFromSeqDrains(t *testing.T) {
	p := newPipeline()
	yielded, handled := 0, 0
	in := pipeline.FromSeq(p, func(yield func(int) bool) {
		for more := true; more; {
			yielded++
			more = yield(yielded)
		}
	}, pipeline.SourceConfig[int]{})
	pipeline.Each(in, func(context.Context, int) error {
		if handled++; handled == 5000 {
			p.Drain()
		}
		return nil
	}, pipeline.StepConfig[int]{})
	if err := p.Run(t.Context()); err != nil || yielded != handled {
		t.Errorf("%d of %d handled: %v", handled, yielded, err)
	}
}
