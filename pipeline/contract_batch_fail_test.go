package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
)

// A batch that is dropped on purpose is discarded, is not tried again and has no letter.
func TestDiscardErrorDropsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		letters, f, calls := new(pipelinetest.Letters), complete(6), 0
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: letters})
		pipeline.EachBatch(pipeline.From(p, f, sourceConfig{}), func(_ context.Context, events []int) error {
			if calls++; events[0] == 0 {
				return dropped
			}
			return nil
		}, batchConfig{Size: 3})
		run(t, p)
		ends := f.ends()
		for i := range 6 {
			if want := []receipt.Outcome{receipt.Discarded, receipt.Done}[i/3]; ends[i] != want {
				t.Errorf("event %d: %v, want %v", i, ends[i], want)
			}
		}
		if n := len(letters.All()); n > 0 || calls != 2 {
			t.Errorf("%d letters, %d calls", n, calls)
		}
	})
}

// The letters of a step go to its own sink and not to that of the pipeline, as Encode
// encodes their events.
func TestLettersOfBatchesGoToTheirOwnSinkEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, other := new(pipelinetest.Letters), new(pipelinetest.Letters)
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: other})
		pipeline.EachBatch(pipeline.From(p, complete(2), sourceConfig{}), func(context.Context, []int) error { return errWrite }, batchConfig{
			DeadLetters: own, Retry: once, Encode: func(v int) ([]byte, error) { return fmt.Appendf(nil, `{"number":%d}`, v), nil },
		})
		run(t, p)
		var got []string
		for _, l := range own.All() {
			got = append(got, string(l.Event))
		}
		if !slices.Equal(got, []string{`{"number":0}`, `{"number":1}`}) || len(other.All()) > 0 {
			t.Errorf("%q, and %d in the pipeline's", got, len(other.All()))
		}
	})
}
