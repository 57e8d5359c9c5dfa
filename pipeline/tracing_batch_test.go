package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	w3c "github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/tracetest"
)

// summary is an event that is made of several, and takes the context of its span.
type summary struct {
	events int
	trace  w3c.Context
}

func (s summary) TraceContext() w3c.Context      { return s.trace }
func (s *summary) SetTraceContext(c w3c.Context) { s.trace = c }

// checkSpans compares the numbers of spans by name, but for those of the dispatch.
func checkSpans(t *testing.T, spans []tracetest.Span, want map[string]int) {
	t.Helper()
	got := spanNames(spans)
	maps.DeleteFunc(got, func(name string, _ int) bool { return name[:8] == "dispatch" })
	if !maps.Equal(got, want) {
		t.Errorf("spans %v, want %v", got, want)
	}
}

// TestSpansThroughBatch: a trace goes on with the slice that its event is in. Each sampled
// event has a span until the slice is passed on, to which the span of that is linked.
func TestSpansThroughBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := traceRun(t, 12, func(in *pipeline.Flow[note]) {
			six := pipeline.Batch(in, pipeline.BatchConfig[note]{Name: "six", Size: 6})
			pipeline.Each(six, func(ctx context.Context, list []note) error {
				if got := w3c.FromContext(ctx); got.TraceID != list[0].trace.TraceID {
					t.Errorf("the batch of event %d is in trace %v", list[0].n, got)
				}
				return nil
			}, pipeline.StepConfig[[]note]{Name: "each"})
		}).Spans()
		checkSpans(t, spans, map[string]int{"handle six": 4, "batch six": 2, "handle each": 2, "attempt each": 2})
		for _, s := range spans {
			switch s.Name {
			case "batch six":
				if len(s.Links) != 1 || parentName(spans, s) != "handle six" || s.Attrs[w3c.AttrEvents] != int64(6) {
					t.Errorf("%+v", s)
				}
			case "handle six":
				if s.Attrs[w3c.AttrOutcome] != "done" {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}

// TestSpansThroughReduce: a summary that takes a context continues the trace of the first
// sampled event, below the span of the summary.
func TestSpansThroughReduce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := traceRun(t, 12, func(in *pipeline.Flow[note]) {
			sums := pipeline.Reduce(in, pipeline.ReduceConfig[note]{Name: "sum", Key: func(n note) string { return fmt.Sprint(n.n % 2) }},
				func(s *summary, n note) error {
					if n.n == 9 {
						return errors.New("no")
					}
					s.events++
					return nil
				},
				func(_ string, s *summary) summary { return *s })
			pipeline.Each(sums, func(context.Context, summary) error { return nil }, pipeline.StepConfig[summary]{Name: "each"})
		}).Spans()
		// Sampled are 0 and 6, with one key, and 3, with the other; 9 has failed alone.
		checkSpans(t, spans, map[string]int{"handle sum": 4, "batch sum": 2, "handle each": 2, "attempt each": 2})
		links := 0
		for _, s := range spans {
			switch s.Name {
			case "batch sum":
				links += len(s.Links)
				if parentName(spans, s) != "" {
					t.Errorf("%+v", s)
				}
			case "handle each":
				if parentName(spans, s) != "batch sum" {
					t.Errorf("%+v", s)
				}
			}
		}
		if links != 1 {
			t.Errorf("%d links", links)
		}
	})
}

// TestSpansOfPartitions: the choice of a flow has a span, which says the flow.
func TestSpansOfPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := traceRun(t, 12, func(in *pipeline.Flow[note]) {
			same := pipeline.Map(in, func(_ context.Context, n note) (note, error) { return n, nil }, pipeline.StepConfig[note]{Name: "map"})
			parts := pipeline.Partition(same, 2, func(n note) uint64 {
				if n.n == 6 {
					panic("no")
				}
				return uint64(n.n)
			})
			for i, part := range parts {
				pipeline.Each(part, func(context.Context, note) error { return nil }, pipeline.StepConfig[note]{Name: fmt.Sprint("each-", i)})
			}
		}).Spans()
		routed := make(map[any]int)
		for _, s := range spans {
			if s.Name != "route partition-3" {
				continue
			}
			routed[s.Attrs[w3c.AttrRoute]]++
			if failed := s.Context.TraceID[15] == 6; failed != (s.Err != nil) {
				t.Errorf("%+v", s)
			}
		}
		if want := map[any]int{"0": 1, "1": 2, nil: 1}; !maps.Equal(routed, want) {
			t.Errorf("%v, spans %v", routed, spanNames(spans))
		}
	})
}

// TestSpansOfHungAttempts: the span of an attempt that does not return ends when the step no
// longer waits for it, and the next attempt has the next number.
func TestSpansOfHungAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		var calls atomic.Int32
		spans := traceRun(t, 1, func(in *pipeline.Flow[note]) {
			same := pipeline.Map(in, func(_ context.Context, n note) (note, error) {
				switch calls.Add(1) {
				case 1:
					<-back
				case 2:
					return n, errors.New("no")
				default:
					close(back)
				}
				return n, nil
			}, pipeline.StepConfig[note]{Name: "map", Timeout: time.Second})
			pipeline.Each(same, func(context.Context, note) error { return nil }, pipeline.StepConfig[note]{})
		}).Named("attempt map")
		if len(spans) != 3 {
			t.Fatalf("%+v", spans)
		}
		for i, s := range spans {
			if s.Attrs[w3c.AttrAttempt] != int64(i+1) {
				t.Errorf("attempt %d: %+v", i+1, s)
			}
		}
		if first := spans[0]; !errors.Is(first.Err, pipeline.ErrTimeout) || first.End.Sub(first.Begin) != 1100*time.Millisecond {
			t.Errorf("%+v", first)
		}
	})
}

// exemplars is a recorder that keeps the traces of measurements, by the name of the timer.
type exemplars struct {
	metrics.Recorder
	mu     sync.Mutex
	traces map[string][]w3c.Context // guarded by mu
}

type exemplarTimer struct {
	metrics.Timer
	note func(w3c.Context)
}

func (t exemplarTimer) ObserveTraced(_ time.Duration, c w3c.Context) { t.note(c) }

func (r *exemplars) Timer(name string, tags ...metrics.Tag) metrics.Timer {
	return exemplarTimer{r.Recorder.Timer(name, tags...), func(c w3c.Context) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.traces[name] = append(r.traces[name], c)
	}}
}

// TestExemplarsOfSteps: how long a sampled event has waited for a worker, and how long it has
// taken, is measured with its span.
func TestExemplarsOfSteps(t *testing.T) {
	for _, batches := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &exemplars{Recorder: metrics.Nop(), traces: make(map[string][]w3c.Context)}
			tracer := new(tracetest.Tracer)
			p := pipeline.New(pipeline.Config{Tracer: tracer, Metrics: r})
			in := pipeline.From(p, notes(4), pipeline.SourceConfig[note]{Name: "source"})
			if batches {
				pipeline.EachBatch(in, func(context.Context, []note) error { return nil }, pipeline.BatchConfig[note]{Name: "each", Size: 1})
			} else {
				slow := func(context.Context, note) error {
					time.Sleep(time.Second)
					return nil
				}
				pipeline.Each(in, slow, pipeline.StepConfig[note]{Name: "each", Workers: 2})
			}
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"pipeline.waiting_time", "pipeline.handling_time"} {
				got := r.traces[name] // 0 and 3 are sampled, and the first of a run is measured
				if len(got) == 0 {
					t.Errorf("%s: no trace", name)
				}
				for _, c := range got {
					if !slices.ContainsFunc(tracer.Named("handle each"), func(s tracetest.Span) bool { return s.Context == c }) {
						t.Errorf("%s: %v is no span of an event", name, c)
					}
				}
			}
		})
	}
}

// TestSpansEndWithTheStage: a worker that ignores its context leaves no span open, neither
// that of its attempt nor those of the events behind it.
func TestSpansEndWithTheStage(t *testing.T) {
	for _, batches := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tracer := new(tracetest.Tracer)
			back := make(chan struct{})
			p := pipeline.New(pipeline.Config{
				Tracer: tracer, Retry: retry.Policy{MaxAttempts: 1}, DrainTimeout: time.Second, StopTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
			})
			in := pipeline.From(p, notes(12), pipeline.SourceConfig[note]{Name: "source"})
			var out *pipeline.Flow[note]
			if batches {
				out = pipeline.MapBatch(in, func(_ context.Context, list []note) ([]note, error) {
					<-back
					return list, nil
				}, pipeline.BatchConfig[note]{Name: "map", Size: 2})
			} else {
				out = pipeline.Map(in, func(_ context.Context, n note) (note, error) {
					<-back
					return n, nil
				}, pipeline.StepConfig[note]{Name: "map", Workers: 2})
			}
			pipeline.Each(out, func(context.Context, note) error { return nil }, pipeline.StepConfig[note]{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := p.Run(ctx); !errors.Is(err, stage.ErrHung) {
				t.Errorf("Run: %v", err)
			}
			synctest.Wait()                                  // Run and the step give up at the same moment
			if n := len(tracer.Named("handle map")); n < 2 { // a batch step has asked for fewer
				t.Errorf("%d spans of events", n)
			}
			if open := tracer.Open(); len(open) > 0 {
				t.Errorf("not ended: %+v", open)
			}
			close(back)
			synctest.Wait()
		})
	}
}

// TestSpansOfLettersEndWithTheStage: no span stays open of events whose dead letters are not
// stored when the stage ends.
func TestSpansOfLettersEndWithTheStage(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tracer := new(tracetest.Tracer)
			p := pipeline.New(pipeline.Config{
				Tracer: tracer, Retry: retry.Policy{MaxAttempts: 1}, DrainTimeout: time.Second, StopTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
				DeadLetters: deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return errors.New("no") }),
			})
			in := pipeline.From(p, notes(12), pipeline.SourceConfig[note]{Name: "source"})
			out := pipeline.Map(in, func(_ context.Context, n note) (note, error) { return n, errors.New("no") },
				pipeline.StepConfig[note]{Name: "map", Unordered: unordered})
			pipeline.Each(out, func(context.Context, note) error { return nil }, pipeline.StepConfig[note]{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = p.Run(ctx) // it has not drained in time
			synctest.Wait()
			if n := len(tracer.Named("handle map")); n != 4 {
				t.Errorf("%d spans of events", n)
			}
			if open := tracer.Open(); len(open) > 0 {
				t.Errorf("not ended: %+v", open)
			}
		})
	}
}
