package pipeline_test

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// ends is a recorder that knows which instruments were ended.
type ends struct {
	*metricstest.Recorder
	mu    sync.Mutex
	ended map[string]int
}

type endingCounter struct {
	metrics.Counter
	end func()
}

func (c endingCounter) End() { c.end() }

func (r *ends) Counter(name string, tags ...metrics.Tag) metrics.Counter {
	return endingCounter{r.Recorder.Counter(name, tags...), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[name]++
	}}
}

// A step with workers records how long events wait for one and how long they take.
func TestTimersOfAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &ends{Recorder: metricstest.New(), ended: make(map[string]int)}
		p := pipeline.New(pipeline.Config{Metrics: r})
		in := pipeline.From(p, words("a", "b", "c", "d"), pipeline.SourceConfig[string]{})
		pipeline.Each(in, func(context.Context, string) error {
			time.Sleep(time.Second)
			return nil
		}, pipeline.StepConfig[string]{Name: "work", Workers: 2, Timeout: time.Minute})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		tag := metrics.Tag{Key: "stage", Value: "work"}
		handled, waited := r.Durations("pipeline.handling_time", tag), r.Durations("pipeline.waiting_time", tag)
		if len(handled) != 4 || len(waited) != 4 {
			t.Fatalf("handled %v, waited %v", handled, waited)
		}
		late := 0
		for i := range handled {
			if handled[i] != time.Second {
				t.Errorf("handled %v", handled)
			}
			if waited[i] >= time.Second {
				late++
			}
		}
		if late != 2 {
			t.Errorf("waited %v; two of four were to wait for the workers", waited)
		}
		for _, name := range []string{"pipeline.retries", "pipeline.failures", "pipeline.restarts"} {
			if r.ended[name] == 0 {
				t.Errorf("the series %s has not ended with its pipeline", name)
			}
		}
	})
}

// labels returns the goroutine profile.
func labels() string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

// A profile says which stage a goroutine works for.
func TestGoroutinesHaveTheNameOfTheirStage(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]string)
	look := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		if seen[name] == "" {
			seen[name] = labels()
		}
	}
	pprof.Do(t.Context(), pprof.Labels("of", "test"), func(ctx context.Context) {
		p := pipeline.New(pipeline.Config{})
		in := pipeline.From(p, words("a", "b", "c", "d"), pipeline.SourceConfig[string]{Name: "in"})
		checked := pipeline.Map(in, func(_ context.Context, s string) (string, error) {
			look("inline")
			return s, nil
		}, pipeline.StepConfig[string]{Name: "inline"})
		worked := pipeline.Map(checked, func(_ context.Context, s string) (string, error) {
			look("workers")
			return s, nil
		}, pipeline.StepConfig[string]{Name: "workers", Workers: 3, Timeout: time.Minute})
		pipeline.To(worked, func() (stage.Consumer[string], error) {
			return consumer.NewSupervisor(func(context.Context, string) error {
				look("supervisor")
				return nil
			}, consumer.SupervisorConfig[string]{})
		}, pipeline.StageConfig{Name: "supervisor"})
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
	})
	for _, name := range []string{"inline", "workers", "supervisor"} {
		if !strings.Contains(seen[name], `"stage":"`+name+`"`) || !strings.Contains(seen[name], `"of":"test"`) {
			t.Errorf("no goroutine of stage %s in\n%s", name, seen[name])
		}
	}
}
