package consumer_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
	"github.com/penstock-go/penstock/trace"
	"github.com/penstock-go/penstock/trace/tracetest"
)

// traced is an event that carries a trace context.
type traced struct {
	n     int
	trace trace.Context
}

func (e traced) TraceContext() trace.Context { return e.trace }

// TestSpansOfAttempts: each attempt of a consumer's function has a span with its error below
// that of the event, which the function's context names.
func TestSpansOfAttempts(t *testing.T) {
	policy := retry.Policy{MaxAttempts: 3, Backoff: time.Second, Jitter: retry.NoJitter}
	for name, tc := range map[string]struct {
		make func(f func(context.Context, traced) error) (stage.Consumer[traced], error)
		want map[string]int
	}{
		"ForEach": {
			func(f func(context.Context, traced) error) (stage.Consumer[traced], error) {
				return consumer.NewForEach(f, consumer.ForEachConfig[traced]{Retry: policy})
			},
			map[string]int{"dispatch source": 2, "handle end": 2, "attempt end": 4, "child": 4},
		},
		"ForEach that stops": {
			func(f func(context.Context, traced) error) (stage.Consumer[traced], error) {
				return consumer.NewForEach(f, consumer.ForEachConfig[traced]{Retry: policy, OnFailure: consumer.StopStage})
			},
			map[string]int{"dispatch source": 2, "handle end": 2, "attempt end": 4, "child": 4},
		},
		"Supervisor": {
			func(f func(context.Context, traced) error) (stage.Consumer[traced], error) {
				return consumer.NewSupervisor(f, consumer.SupervisorConfig[traced]{Restart: consumer.Transient, Retry: policy, Timeout: time.Minute})
			},
			map[string]int{"dispatch source": 2, "handle end": 2, "attempt end": 4, "child": 4},
		},
		"Batch": {
			func(f func(context.Context, traced) error) (stage.Consumer[traced], error) {
				return consumer.NewBatch(func(ctx context.Context, list []traced) error { return f(ctx, list[0]) },
					consumer.BatchConfig[traced]{Retry: policy, Size: 4})
			},
			map[string]int{"dispatch source": 2, "handle end": 2, "batch end": 3, "child": 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failure, failures := errors.New("no"), 2
				end, err := tc.make(func(ctx context.Context, e traced) error {
					if e.trace.IsSampled() {
						_, child := trace.Start(ctx, "child", trace.Int("n", e.n))
						child.End(time.Time{}, nil)
					}
					if e.n == 0 && failures > 0 {
						failures--
						return failure
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				spans := runTraced(t, end)
				got := make(map[string]int)
				failed := 0
				for _, s := range spans {
					got[s.Name]++
					if s.Err != nil {
						failed++
					}
				}
				if !maps.Equal(got, tc.want) || failed != 2 {
					t.Errorf("spans %v with %d errors, want %v with 2", got, failed, tc.want)
				}
				byContext := make(map[trace.Context]tracetest.Span)
				for _, s := range spans {
					byContext[s.Context] = s
				}
				for _, s := range spans {
					want := map[string]string{"attempt end": "handle end", "batch end": "handle end", "child": "attempt end"}[s.Name]
					if name == "Batch" && s.Name == "child" {
						want = "batch end"
					}
					if got := byContext[s.Parent].Name; got != want {
						t.Errorf("%s is below %q, want %q", s.Name, got, want)
					}
				}
			})
		})
	}
}

// runTraced runs four events, of which two are sampled, into a consumer.
func runTraced(t *testing.T, end stage.Consumer[traced]) []tracetest.Span {
	t.Helper()
	tracer := new(tracetest.Tracer)
	n := 0
	source := stage.Must(stage.NewProducer(stage.ProducerFunc[traced](func(_ context.Context, ask int, emit *stage.Emitter[traced]) error {
		for ; ask > 0 && n < 4; ask-- {
			e := traced{n: n}
			if n%2 == 0 {
				e.trace = tracetest.Sampled(uint64(n))
			}
			emit.Emit(e)
			n++
		}
		if n == 4 {
			return stage.ErrDone
		}
		return nil
	}), stage.ProducerConfig[traced]{Name: "source"}))
	c := stage.Must(stage.NewConsumer(end, stage.ConsumerConfig{Name: "end"}))
	stage.Must(c.Subscribe(source, stage.SubscribeConfig{}))
	if err := stage.Must(stage.NewPipeline(stage.PipelineConfig{Tracer: tracer}, c, source)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open := tracer.Open(); len(open) > 0 {
		t.Errorf("not ended: %+v", open)
	}
	return tracer.Spans()
}
