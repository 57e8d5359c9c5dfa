package pipeline_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	w3c "github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/tracetest"
)

// note is an event that carries a trace context.
type note struct {
	n     int
	trace w3c.Context
}

func (n note) TraceContext() w3c.Context { return n.trace }

// notes emits n of them, of which each third is sampled, in a trace of its own.
func notes(n int) stage.ProducerFunc[note] {
	next := 0
	return func(_ context.Context, ask int, emit *stage.Emitter[note]) error {
		for ; ask > 0 && next < n; ask-- {
			e := note{n: next}
			if next%3 == 0 {
				e.trace = tracetest.Sampled(uint64(next))
			}
			emit.Emit(e)
			next++
		}
		if next == n {
			return stage.ErrDone
		}
		return nil
	}
}

// traceRun builds and runs a pipeline, and returns its spans.
func traceRun(t *testing.T, n int, build func(in *pipeline.Flow[note])) *tracetest.Tracer {
	t.Helper()
	tracer := new(tracetest.Tracer)
	p := pipeline.New(pipeline.Config{Tracer: tracer, Retry: retry.Policy{MaxAttempts: 3, Backoff: time.Second, Jitter: retry.NoJitter}})
	build(pipeline.From(p, notes(n), pipeline.SourceConfig[note]{Name: "source"}))
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := tracer.Open(); len(open) > 0 {
		t.Errorf("not ended: %+v", open)
	}
	return tracer
}

func spanNames(spans []tracetest.Span) map[string]int {
	counts := make(map[string]int)
	for _, s := range spans {
		counts[s.Name]++
	}
	return counts
}

// parentName returns the name of the span below which s is, "" for that which the event came
// with.
func parentName(all []tracetest.Span, s tracetest.Span) string {
	i := slices.IndexFunc(all, func(o tracetest.Span) bool { return o.Context == s.Parent })
	if i < 0 {
		return ""
	}
	return all[i].Name
}

// TestSpansOfSteps: each step has a span for each sampled event, and one below it for each
// attempt, which the function's context names. The order of all events stays.
func TestSpansOfSteps(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			failures := map[int]int{3: 2, 6: 3} // 6 fails for good
			seen := make(map[w3c.Context]bool)
			var order []int
			failure := errors.New("no")
			tracer := traceRun(t, 12, func(in *pipeline.Flow[note]) {
				same := pipeline.Map(in, func(ctx context.Context, n note) (note, error) {
					mu.Lock()
					defer mu.Unlock()
					if c := w3c.FromContext(ctx); c.IsValid() {
						seen[c] = true
					}
					if failures[n.n] > 0 {
						failures[n.n]--
						return n, failure
					}
					return n, nil
				}, pipeline.StepConfig[note]{Name: "map", Workers: workers})
				pipeline.Each(same, func(ctx context.Context, n note) error {
					_, child := w3c.Start(ctx, "child")
					child.End(time.Time{}, nil)
					order = append(order, n.n)
					return nil
				}, pipeline.StepConfig[note]{Name: "each"})
			})
			spans := tracer.Spans()
			want := map[string]int{
				"dispatch source": 4, "handle map": 4, "attempt map": 4 + 2 + 2, "handle each": 3, "attempt each": 3, "child": 3,
			}
			if got := spanNames(spans); !maps.Equal(got, want) {
				t.Errorf("%d workers: spans %v, want %v", workers, got, want)
			}
			if want := []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11}; !slices.Equal(order, want) {
				t.Errorf("%d workers: order %v", workers, order)
			}
			for _, s := range spans {
				parent := map[string]string{"attempt map": "handle map", "attempt each": "handle each", "child": "attempt each"}[s.Name]
				if got := parentName(spans, s); got != parent {
					t.Errorf("%s is below %q, want %q", s.Name, got, parent)
				}
				if s.Name == "attempt map" && !seen[s.Context] {
					t.Errorf("%d workers: the function has not seen %+v", workers, s)
				}
			}
			checkAttempts(t, spans, failure)
		})
	}
}

// checkAttempts looks at the attempts of event 6, which has failed for good.
func checkAttempts(t *testing.T, spans []tracetest.Span, failure error) {
	t.Helper()
	attempt := int64(0)
	var before time.Time
	for _, s := range spans {
		if s.Context.TraceID[15] != 6 {
			continue
		}
		switch s.Name {
		case "attempt map":
			attempt++
			if s.Attrs[w3c.AttrAttempt] != attempt || s.Err != failure || attempt > 1 && s.Begin.Sub(before) < time.Second {
				t.Errorf("attempt %d: %+v", attempt, s)
			}
			before = s.Begin
		case "handle map":
			if s.Attrs[w3c.AttrOutcome] != "failed" || !errors.Is(s.Err, failure) {
				t.Errorf("%+v", s)
			}
		}
	}
	if attempt != 3 {
		t.Errorf("%d attempts", attempt)
	}
}

// TestSpansOfBatches: a batch has a span below that of its first sampled event, with links to
// the others.
func TestSpansOfBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 1
		tracer := traceRun(t, 12, func(in *pipeline.Flow[note]) {
			some := pipeline.MapBatch(in, func(_ context.Context, list []note) ([]note, error) { return list, nil },
				pipeline.BatchConfig[note]{Name: "map", Size: 6})
			pipeline.EachBatch(some, func(ctx context.Context, _ []note) error {
				if !w3c.FromContext(ctx).IsSampled() {
					t.Error("the function's context has no span")
				}
				if failures > 0 {
					failures--
					return errors.New("no")
				}
				return nil
			}, pipeline.BatchConfig[note]{Name: "each", Size: 6})
		})
		spans := tracer.Spans()
		want := map[string]int{"dispatch source": 4, "handle map": 4, "batch map": 2, "handle each": 4, "batch each": 3}
		got := spanNames(spans)
		delete(got, "dispatch map")
		if !maps.Equal(got, want) {
			t.Errorf("spans %v, want %v", got, want)
		}
		for _, s := range spans {
			switch s.Name {
			case "batch map":
				if len(s.Links) != 1 || parentName(spans, s) != "handle map" || s.Attrs[w3c.AttrEvents] != int64(6) {
					t.Errorf("%+v", s)
				}
			case "batch each":
				if len(s.Links) != 1 || parentName(spans, s) != "handle each" || s.Attrs[w3c.AttrEvents] != int64(6) {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}

// TestSpansAfterTheLastNeededEvent: a step that needs no more leaves no span open.
func TestSpansAfterTheLastNeededEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traceRun(t, 12, func(in *pipeline.Flow[note]) {
			same := pipeline.Map(in, func(_ context.Context, n note) (note, error) {
				if n.n == 4 {
					return n, stage.ErrDone
				}
				return n, nil
			}, pipeline.StepConfig[note]{Workers: 2})
			pipeline.Each(same, func(context.Context, note) error { return nil }, pipeline.StepConfig[note]{})
		})
	})
}
