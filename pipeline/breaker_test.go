package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

var errBreaks = errors.New("it breaks")

// faults are the ways in which a function of the program fails over event 7 of 20.
var faults = map[string]func(){
	"panic":  func() { panic("boom") },
	"goexit": runtime.Goexit,
}

// A function of the program that panics, or ends its goroutine, costs at most the event that
// it was called for.
func TestFunctionsThatBreak(t *testing.T) {
	type parts struct {
		p    *pipeline.Pipeline
		in   *pipeline.Flow[int]
		sink *pipelinetest.Sink[int]
		hit  func(int)
	}
	ctxless := func(hit func(int)) func(context.Context, int) (int, error) {
		return func(_ context.Context, v int) (int, error) { hit(v); return v, nil }
	}

	cases := map[string]struct {
		want  receipt.Outcome // of event 7
		build func(x parts)
	}{
		"map": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.Map(x.in, ctxless(x.hit), pipeline.StepConfig[int]{}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"map 3": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.Map(x.in, ctxless(x.hit), pipeline.StepConfig[int]{Workers: 3}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"map timeout": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.Map(x.in, ctxless(x.hit), pipeline.StepConfig[int]{Timeout: time.Second}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"filter": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.Filter(x.in, func(_ context.Context, v int) (bool, error) { x.hit(v); return true, nil }, pipeline.StepConfig[int]{}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"flatmap": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.FlatMap(x.in, func(_ context.Context, v int, emit func(int)) error { emit(v); x.hit(v); return nil }, pipeline.StepConfig[int]{}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"each": {receipt.Failed, func(x parts) {
			pipeline.Each(x.in, func(_ context.Context, v int) error { x.hit(v); return nil }, pipeline.StepConfig[int]{})
		}},
		"key": {receipt.Failed, func(x parts) {
			pipeline.Each(x.in, x.sink.Each, pipeline.StepConfig[int]{Key: func(v int) string { x.hit(v); return "k" }})
		}},
		"encode": {receipt.Failed, func(x parts) {
			pipeline.Each(x.in, func(ctx context.Context, v int) error {
				if v == 7 {
					return errBreaks
				}
				return nil
			}, pipeline.StepConfig[int]{Encode: func(v int) ([]byte, error) { x.hit(v); return nil, nil }})
		}},
		"retryable": {receipt.Failed, func(x parts) {
			pipeline.Each(x.in, func(ctx context.Context, v int) error {
				if v == 7 {
					return errBreaks
				}
				return nil
			}, pipeline.StepConfig[int]{Retry: retry.Policy{Retryable: func(error) bool { x.hit(7); return true }}})
		}},
		"middleware": {receipt.Failed, func(x parts) {
			pipeline.Each(x.in, x.sink.Each, pipeline.StepConfig[int]{Use: []pipeline.Middleware[int]{
				func(ctx context.Context, v int, next func(context.Context) error) error { x.hit(v); return next(ctx) },
			}})
		}},
		"batch key": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, x.sink.Batch, pipeline.BatchConfig[int]{Key: func(v int) string { x.hit(v); return "k" }})
		}},
		"batch size": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, x.sink.Batch, pipeline.BatchConfig[int]{Bytes: 3, SizeOf: func(v int) int { x.hit(v); return 1 }})
		}},
		"batch cut": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, x.sink.Batch, pipeline.BatchConfig[int]{Cut: func(vs []int) bool { x.hit(vs[len(vs)-1]); return false }})
		}},
		"batch": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, func(_ context.Context, vs []int) error { x.hit(vs[0]); return nil }, pipeline.BatchConfig[int]{Size: 1})
		}},
		"batch split": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, func(_ context.Context, vs []int) error {
				for _, v := range vs {
					x.hit(v)
				}
				return nil
			}, pipeline.BatchConfig[int]{Size: 5, Split: true})
		}},
		"batch map": {receipt.Failed, func(x parts) {
			pipeline.Each(pipeline.MapBatch(x.in, func(_ context.Context, vs []int) ([]int, error) { x.hit(vs[0]); return vs, nil }, pipeline.BatchConfig[int]{Size: 1}), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"batch retryable": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, func(ctx context.Context, vs []int) error {
				if vs[0] == 7 {
					return errBreaks
				}
				return nil
			}, pipeline.BatchConfig[int]{Size: 1, Retry: retry.Policy{Retryable: func(error) bool { x.hit(7); return true }}})
		}},
		"batch encode": {receipt.Failed, func(x parts) {
			pipeline.EachBatch(x.in, func(ctx context.Context, vs []int) error {
				if vs[0] == 7 {
					return errBreaks
				}
				return nil
			}, pipeline.BatchConfig[int]{Size: 1, Encode: func(v int) ([]byte, error) { x.hit(v); return nil, nil }})
		}},
		"gather key": {receipt.Failed, func(x parts) {
			b := pipeline.Batch(x.in, pipeline.BatchConfig[int]{Key: func(v int) string { x.hit(v); return "k" }})
			pipeline.Each(b, x.sink.Batch, pipeline.StepConfig[[]int]{})
		}},
		"reduce key": {receipt.Failed, func(x parts) {
			b := pipeline.Reduce(x.in, pipeline.ReduceConfig[int]{Key: func(v int) string { x.hit(v); return "k" }}, func(s *int, v int) error { *s += v; return nil }, func(_ string, s *int) int { return *s })
			pipeline.Each(b, x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"reduce add": {receipt.Failed, func(x parts) {
			b := pipeline.Reduce(x.in, pipeline.ReduceConfig[int]{}, func(s *int, v int) error { x.hit(v); *s += v; return nil }, func(_ string, s *int) int { return *s })
			pipeline.Each(b, x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"reduce summary": {receipt.Failed, func(x parts) {
			b := pipeline.Reduce(x.in, pipeline.ReduceConfig[int]{Key: func(v int) string { return fmt.Sprint(v) }}, func(s *int, v int) error { *s += v; return nil }, func(_ string, s *int) int { x.hit(*s); return *s })
			pipeline.Each(b, x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"route": {receipt.Failed, func(x parts) {
			r := pipeline.Route(x.in, []string{"a"}, func(v int) string { x.hit(v); return "a" })
			pipeline.Each(r.Flow("a"), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"partition": {receipt.Failed, func(x parts) {
			r := pipeline.Partition(x.in, 2, func(v int) uint64 { x.hit(v); return uint64(v) })
			pipeline.Each(r[0], x.sink.Each, pipeline.StepConfig[int]{})
			pipeline.Each(r[1], x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"route of a step": {receipt.Failed, func(x parts) {
			r := pipeline.Route(pipeline.Map(x.in, same, pipeline.StepConfig[int]{}), []string{"a"}, func(v int) string { x.hit(v); return "a" })
			pipeline.Each(r.Flow("a"), x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"partition of a step": {receipt.Failed, func(x parts) {
			r := pipeline.Partition(pipeline.Map(x.in, same, pipeline.StepConfig[int]{}), 1, func(v int) uint64 { x.hit(v); return uint64(v) })
			pipeline.Each(r[0], x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"fair of a step": {receipt.Done, func(x parts) {
			f := pipeline.Fair(pipeline.Map(x.in, same, pipeline.StepConfig[int]{}), func(v int) int { x.hit(v); return v }, fair.Config[int]{})
			pipeline.Each(f, x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"fair": {receipt.Done, func(x parts) {
			f := pipeline.Fair(x.in, func(v int) int { x.hit(v); return v }, fair.Config[int]{})
			pipeline.Each(f, x.sink.Each, pipeline.StepConfig[int]{})
		}},
		"sink": {receipt.Failed, func(x parts) {
			n := 0
			pipeline.Each(x.in, func(ctx context.Context, v int) error {
				if v == 7 {
					return errBreaks
				}
				return nil
			}, pipeline.StepConfig[int]{DeadLetters: deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error {
				if n++; n < 3 {
					x.hit(7)
				}
				return nil
			})})
		}},
		"branch": {receipt.Failed, func(x parts) {
			b := pipeline.Broadcast(x.in)
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), x.sink.Each, pipeline.StepConfig[int]{})
			pipeline.Each(b.Branch("b", pipeline.BranchConfig{}), func(_ context.Context, v int) error { x.hit(v); return nil }, pipeline.StepConfig[int]{})
		}},
	}

	for name, c := range cases {
		for _, run := range []string{"panic", "goexit", "panic later", "goexit later"} {
			fault, later := strings.CutSuffix(run, " later")
			hit := faults[fault]
			if fault == "goexit" && slices.Contains([]string{"route", "partition", "fair"}, name) {
				continue // they run on the goroutine of the source, which is not made anew
			}
			t.Run(name+"/"+run, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := slog.New(slog.NewTextHandler(io.Discard, nil))
					if testing.Verbose() {
						log = slog.New(slog.NewTextHandler(t.Output(), nil))
					}
					letters := new(pipelinetest.Letters)
					p := pipeline.New(pipeline.Config{Name: "p", DeadLetters: letters, Logger: log})
					source := pipelinetest.NewSource[int]()
					c.build(parts{p, pipeline.From(p, source, pipeline.SourceConfig[int]{}), pipelinetest.NewSink[int](nil), func(v int) {
						if v == 7 {
							hit()
						}
					}})
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					done := make(chan error, 1)
					go func() { done <- p.Run(ctx) }()
					var all pipelinetest.Receipts[int]
					if later { // when steps know that the function is quick
						all = append(all, source.PushAll(100, 101, 102)...)
						synctest.Wait()
					}
					for i := range 20 {
						all = append(all, source.Batch(i)...)
					}
					source.Close()
					select {
					case err := <-done:
						if err != nil {
							t.Errorf("the pipeline has ended: %v", err)
						}
					case <-time.After(2 * time.Hour):
						t.Fatal("the pipeline does not end")
					}
					for _, r := range all {
						want := receipt.Done
						if r.Event == 7 {
							want = c.want
						}
						if !r.Finished() || r.Outcome() != want {
							t.Errorf("event %d: finished %v, %v, want %v", r.Event, r.Finished(), r.Outcome(), want)
						}
					}
				})
			})
		}
	}

}
