package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/producer"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

// journal is a log that a test reads.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newJournal() (*journal, *slog.Logger) {
	j := &journal{}
	return j, slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// shared is a consumer of which there is one.
type shared struct{ events int }

func (s *shared) HandleEvents(_ context.Context, events []int) error {
	s.events += len(events)
	return nil
}

// sharedPass is a producer-consumer of which there is one.
type sharedPass struct{ events int }

func (s *sharedPass) HandleEvents(_ context.Context, events []int, emit *stage.Emitter[int]) error {
	s.events += len(events)
	emit.EmitAll(events)
	return nil
}

// TestHoldMistakes makes each mistake: there is an error, or a line in the log.
func TestHoldMistakes(t *testing.T) {
	var noMap func(context.Context, int) (int, error)
	var noEach func(context.Context, int) error
	var noBatch func(context.Context, []int) error
	never := retry.Policy{MaxAttempts: 1}
	for _, tc := range []struct {
		name  string
		build func(p *pipeline.Pipeline, in *pipeline.Flow[int])
		err   string // in the error of Run
		log   string // in the log
	}{
		{"a flow without an end", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Map(in, same, stepConfig{})
		}, "a step that takes it, such as Each", ""},
		{"a flow used twice", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{})
			pipeline.Each(in, none, stepConfig{})
		}, "a flow that no other step takes", ""},
		{"a flow of another pipeline", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			other := pipeline.New(pipeline.Config{Logger: quiet})
			pipeline.Each(pipeline.Merge(in, pipeline.From(other, numbers(1), sourceConfig{})), none, stepConfig{})
		}, "a flow of the same pipeline", ""},
		{"a nil function of Map", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Map(in, noMap, stepConfig{}), none, stepConfig{})
		}, `"map-2": option f`, ""},
		{"a nil function of Each", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, noEach, stepConfig{})
		}, `"each-2": option f`, ""},
		{"a nil function of EachBatch", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.EachBatch(in, noBatch, pipeline.BatchConfig[int]{})
		}, `"each-batch-2": option f`, ""},
		{"a nil middleware", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Use: []pipeline.Middleware[int]{nil}})
		}, "option Use[0]", ""},
		{"a nil source", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Merge(in, pipeline.From[int](p, nil, sourceConfig{})), none, stepConfig{})
		}, "option source", ""},
		{"one consumer for two steps", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			b, one := pipeline.Broadcast(in), &shared{}
			make := func() (stage.Consumer[int], error) { return one, nil }
			pipeline.To(b.Branch("a", pipeline.BranchConfig{}), make, pipeline.StageConfig{Name: "first"})
			pipeline.To(b.Branch("b", pipeline.BranchConfig{}), make, pipeline.StageConfig{Name: "second"})
		}, "used by another stage", ""},
		{"one producer-consumer for two steps", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			one := &sharedPass{}
			make := func() (stage.ProducerConsumer[int, int], error) { return one, nil }
			pipeline.Each(pipeline.Through(pipeline.Through(in, make, pipeline.StageConfig{}), make, pipeline.StageConfig{}), none, stepConfig{})
		}, "used by another stage", ""},
		{"a factory that returns nil", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.To(in, func() (stage.Consumer[int], error) { return nil, nil }, pipeline.StageConfig{Name: "sink"})
		}, "sink", ""},
		{"a name twice", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Map(in, same, stepConfig{Name: "a"}), none, stepConfig{Name: "a"})
		}, "a name that no other step has", ""},
		{"a rate that is no number", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Rate: pipeline.Rate{PerSecond: math.NaN()}})
		}, "option Rate.PerSecond", ""},
		{"a rate without end", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Rate: pipeline.Rate{PerSecond: math.Inf(1)}})
		}, "option Rate.PerSecond", ""},
		{"workers below zero", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{Workers: -1})
		}, "option Workers", ""},
		{"batch workers below zero", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.EachBatch(in, func(context.Context, []int) error { return nil }, pipeline.BatchConfig[int]{Workers: -1})
		}, "option Workers", ""},
		{"a rate of keys without keys", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(in, none, stepConfig{KeyRate: pipeline.Rate{PerSecond: 1}})
		}, "option KeyRate", ""},
		{"emit after the function has returned", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.FlatMap(in, func(_ context.Context, v int, emit func(int)) error {
				time.AfterFunc(time.Second, func() { emit(v) })
				return nil
			}, stepConfig{Name: "split"}), none, stepConfig{})
		}, "", "emit was called"},
		{"emit on two goroutines", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.FlatMap(in, func(_ context.Context, v int, emit func(int)) error {
				emit(v)
				go emit(v)
				return nil
			}, stepConfig{Name: "split"}), none, stepConfig{})
		}, "", "emit was called"},
		{"a middleware that calls next twice", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			twice := func(ctx context.Context, _ int, next func(context.Context) error) error {
				return errors.Join(next(ctx), next(ctx))
			}
			calls := 0
			pipeline.Each(in, func(context.Context, int) error {
				if calls++; calls > 1 {
					t.Error("handled twice")
				}
				return nil
			}, stepConfig{Retry: never, Use: []pipeline.Middleware[int]{twice}})
		}, "", "next was called again"},
		{"a step that has one branch", func(_ *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Broadcast(in).Branch("a", pipeline.BranchConfig{}), none, stepConfig{})
		}, "", "a broadcast has one branch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, logger := newJournal()
				p := pipeline.New(pipeline.Config{Logger: logger})
				f := newFeed(0)
				tc.build(p, pipeline.From(p, f, sourceConfig{Name: "source"}))
				done := started(t, p)
				begun := time.Now()
				timer := time.AfterFunc(10*time.Second, p.Drain)
				err := <-done
				timer.Stop()
				if d := time.Since(begun); tc.err != "" && d > 0 {
					t.Errorf("Run returned after %v", d)
				}
				if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
					t.Errorf("Run returned %v, want %q in it", err, tc.err)
				}
				if log := j.String(); !strings.Contains(log, tc.log) {
					t.Errorf("%q is not in the log:\n%s", tc.log, log)
				}
			})
		})
	}
}

// TestHoldMistakesOfCalls has the mistakes that are calls: each returns at once what is
// wrong.
func TestHoldMistakesOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{Logger: quiet}))
		if err := q.Push(t.Context(), 1); err != nil { // it waits for the run
			t.Error(err)
		}
		l := &list{}
		pipeline.Each(pipeline.From(p, q, sourceConfig{}), l.add, stepConfig{Name: "end"})
		if _, ok := p.Step("ent"); ok {
			t.Error("a step that does not exist")
		}
		done := started(t, p)
		synctest.Wait()
		if err := p.Run(t.Context()); !errors.Is(err, pipeline.ErrStarted) {
			t.Errorf("Run twice: %v", err)
		}
		s := step(t, p, "end")
		var refused *pipeline.OptionError
		for name, err := range map[string]error{
			"rate":    s.SetRate(pipeline.Rate{PerSecond: math.NaN()}),
			"sources": p.SetRate(pipeline.Rate{PerSecond: -1}),
			"workers": s.Resize(-1),
		} {
			if !errors.As(err, &refused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		drained(t, p, done)
		if got := l.all(); len(got) != 1 {
			t.Errorf("got %v", got)
		}
		if err := q.Push(t.Context(), 2); !errors.Is(err, producer.ErrClosed) {
			t.Errorf("push after the run: %v", err)
		}
		if err := p.Run(t.Context()); !errors.Is(err, pipeline.ErrStarted) {
			t.Errorf("Run after the run: %v", err)
		}
		if err := s.Resize(2); err != nil && !errors.Is(err, pipeline.ErrStopped) {
			t.Errorf("resize after the run: %v", err)
		}
	})
}

// TestHoldAPipelineThatIsNeverRun is in the log of the queue that is pushed to.
func TestHoldAPipelineThatIsNeverRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, logger := newJournal()
		p := pipeline.New(pipeline.Config{Logger: logger})
		q := stage.Must(producer.NewQueue[int](producer.QueueConfig[int]{Logger: logger}))
		pipeline.Each(pipeline.From(p, q, sourceConfig{}), none, stepConfig{})
		if err := q.Push(t.Context(), 1); err != nil {
			t.Error(err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if log := j.String(); !strings.Contains(log, "was its pipeline run?") {
			t.Errorf("the log is %q", log)
		}
	})
}
