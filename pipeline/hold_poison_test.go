package pipeline_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
)

// TestHoldOnePoisonousEvent has one event in a million that cannot be handled, by the
// default config: it is a dead letter, and all others are handled without a stop.
func TestHoldOnePoisonousEvent(t *testing.T) {
	const million, poison = 1_000_000, 314_159
	bad := errors.New("cannot be handled")
	for _, tc := range []struct {
		name  string
		build func(in *pipeline.Flow[int], ok *atomic.Int64, tries *atomic.Int64)
	}{
		{"Map with 4 workers to EachBatch", func(in *pipeline.Flow[int], ok, tries *atomic.Int64) {
			rows := pipeline.Map(in, func(_ context.Context, v int) (int, error) {
				if v == poison {
					tries.Add(1)
					return 0, bad
				}
				return v, nil
			}, stepConfig{Name: "parse", Workers: 4})
			pipeline.EachBatch(rows, func(_ context.Context, events []int) error {
				ok.Add(int64(len(events)))
				return nil
			}, pipeline.BatchConfig[int]{})
		}},
		{"Each", func(in *pipeline.Flow[int], ok, tries *atomic.Int64) {
			pipeline.Each(in, func(_ context.Context, v int) error {
				if v == poison {
					tries.Add(1)
					panic(bad)
				}
				ok.Add(1)
				return nil
			}, stepConfig{})
		}},
		{"EachBatch that cannot say which one", func(in *pipeline.Flow[int], ok, tries *atomic.Int64) {
			pipeline.EachBatch(in, func(_ context.Context, events []int) error {
				for _, v := range events {
					if v == poison {
						tries.Add(1)
						return bad
					}
				}
				ok.Add(int64(len(events)))
				return nil
			}, pipeline.BatchConfig[int]{Split: true})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var mu sync.Mutex
			var letters []deadletter.Letter
			sink := deadletter.SinkFunc(func(_ context.Context, batch []deadletter.Letter) error {
				mu.Lock()
				defer mu.Unlock()
				letters = append(letters, batch...)
				return nil
			})
			p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: sink})
			source := &torrent{limit: million}
			var ok, tries atomic.Int64
			tc.build(pipeline.From(p, source, sourceConfig{Name: "source"}), &ok, &tries)
			begun := time.Now()
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("%v for a million events, %d attempts at the bad one", time.Since(begun), tries.Load())
			if len(letters) != 1 || string(letters[0].Event) != "314159" {
				t.Errorf("%d letters: %+v", len(letters), letters)
			}
			if n := ok.Load(); n != million-1 {
				t.Errorf("%d events were handled", n)
			}
			if done, failed := source.count(receipt.Done), source.count(receipt.Failed); done != million-1 || failed != 1 {
				t.Errorf("%d receipts Done, %d Failed", done, failed)
			}
			for _, s := range p.Snapshot(t.Context()).Steps {
				if s.Restarts > 0 {
					t.Errorf("step %q was made anew", s.Name)
				}
			}
		})
	}
}
