package pipelinetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/middleware"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

var errOops = errors.New("oops")

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// config is that of most tests' pipelines.
func config() pipeline.Config {
	return pipeline.Config{Logger: slog.New(slog.DiscardHandler)}
}

// times returns how often each event was handled.
func times(sink *pipelinetest.Sink[int]) map[int]int {
	n := make(map[int]int)
	for _, e := range sink.Events() {
		n[e]++
	}
	return n
}

// batching are the ends that write batches of two to a sink, 20 ms after the first event
// at the latest.
var batching = map[string]func(flow *pipeline.Flow[int], sink *pipelinetest.Sink[int]){
	"consumer.Batch": func(flow *pipeline.Flow[int], sink *pipelinetest.Sink[int]) {
		pipeline.To(flow, func() (stage.Consumer[int], error) {
			return consumer.NewBatch(sink.Batch, consumer.BatchConfig[int]{Size: 2, Timeout: 20 * time.Millisecond})
		}, pipeline.StageConfig{})
	},
	"pipeline.Batch": func(flow *pipeline.Flow[int], sink *pipelinetest.Sink[int]) {
		batches := pipeline.Batch(flow, pipeline.BatchConfig[int]{Size: 2, Timeout: 20 * time.Millisecond})
		pipeline.Each(batches, sink.Batch, pipeline.StepConfig[[]int]{})
	},
}

// withBatches runs a test with each of them.
func withBatches(t *testing.T, f func(t *testing.T, end func(flow *pipeline.Flow[int], sink *pipelinetest.Sink[int]))) {
	for name, end := range batching {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, end) })
		})
	}
}

// Case B7: 1 and 3 go through a step into one batch of two, and both are done.
func TestOneBatchOfTwo(t *testing.T) {
	withBatches(t, func(t *testing.T, end func(*pipeline.Flow[int], *pipelinetest.Sink[int])) {
		source, sink := pipelinetest.NewSource[int](), pipelinetest.NewSink[int](nil)
		handled := pipelinetest.NewSink[int](nil)
		p := pipeline.New(config())
		in := pipeline.From(p, source, pipeline.SourceConfig[int]{})
		passed := pipeline.Map(in, func(ctx context.Context, v int) (int, error) { return v, handled.Each(ctx, v) }, pipeline.StepConfig[int]{})
		end(passed, sink)
		pipelinetest.Run(t, p)
		outcomes, err := source.Batch(1, 3).Wait(t.Context())
		equal(t, "outcomes", outcomes, []receipt.Outcome{receipt.Done, receipt.Done})
		equal(t, "error", err, nil)
		equal(t, "handled", handled.Events(), []int{1, 3})
		equal(t, "batches", sink.Batches(), [][]int{{1, 3}})
	})
}

// Case B8: what becomes of one event is told to the test that has pushed it.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pipelinetest.NewSource[int]()
		tries := 0
		sink := pipelinetest.NewSink(func(_ context.Context, v int) error {
			switch v {
			case 2:
				return errOops
			case 3:
				return stage.Discard(receipt.Expired)
			case 4:
				if tries++; tries < 3 {
					return errOops
				}
			case 5:
				panic("boom")
			}
			return nil
		})
		letters := &pipelinetest.Letters{}
		cfg := config()
		cfg.Retry = retry.Policy{MaxAttempts: 3, Backoff: time.Hour, MaxBackoff: time.Hour}
		cfg.DeadLetters = letters
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), sink.Each, pipeline.StepConfig[int]{Name: "end"})
		early := source.Push(0) // before the run
		pipelinetest.Run(t, p)
		began := time.Now()
		for event, want := range map[int]string{1: "done", 2: "failed", 3: "discarded: expired", 4: "done", 5: "failed"} {
			r := source.Push(event)
			if r.Finished() || r.Outcome() != receipt.Abandoned || r.Reason() != "" {
				t.Error("a receipt at once")
			}
			outcome, err := r.Wait(t.Context())
			got := outcome.String()
			if r.Reason() != "" {
				got += ": " + string(r.Reason())
			}
			equal(t, fmt.Sprint("event ", event), got, want)
			if err != nil || r.Event != event || r.Outcome() != outcome {
				t.Error(r.Event, err)
			}
		}
		if took := time.Since(began); took < 3*time.Hour || took > 7*time.Hour {
			t.Errorf("retries took %v", took)
		}
		equal(t, "the early one", early.Outcome(), receipt.Done)
		equal(t, "unfinished", source.Unfinished(), 0)
		var dead []string
		for _, l := range letters.All() {
			dead = append(dead, fmt.Sprintf("%s %s %d %s", l.Stage, l.Event, l.Attempts, l.Error))
		}
		text := strings.Join(dead, ", ")
		if len(dead) != 2 || !strings.Contains(text, "end 2 3 oops") || !strings.Contains(text, "end 5 3 panic: boom") {
			t.Error(text)
		}
	})
}

// Case B19: events that are pushed are flushed; those of a batch are gathered by size and
// timeout.
func TestFlushAndBulk(t *testing.T) {
	withBatches(t, func(t *testing.T, end func(*pipeline.Flow[int], *pipelinetest.Sink[int])) {
		source, sink := pipelinetest.NewSource[int](), pipelinetest.NewSink[int](nil)
		p := pipeline.New(config())
		end(pipeline.From(p, source, pipeline.SourceConfig[int]{}), sink)
		pipelinetest.Run(t, p)
		began := time.Now()
		for v := range 5 {
			if outcome, err := source.Push(v + 1).Wait(t.Context()); outcome != receipt.Done || err != nil {
				t.Fatal(outcome, err)
			}
		}
		equal(t, "time of flushed events", time.Since(began), time.Duration(0))
		if _, err := source.Batch(1, 2, 3, 4, 5).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "time of a batch", time.Since(began), 20*time.Millisecond)
		if _, err := source.PushAll(6, 7, 8).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, "time", time.Since(began), 20*time.Millisecond)
		equal(t, "batches", sink.Batches(), [][]int{{1}, {2}, {3}, {4}, {5}, {1, 2}, {3, 4}, {5}, {6, 7}, {8}})
	})
}

// What a pipeline has not finished when it ends has no receipt; what is pushed after that
// neither.
func TestTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pipelinetest.NewSource[int]()
		p := pipeline.New(config())
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), func(ctx context.Context, v int) error {
			if v == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, pipeline.StepConfig[int]{})
		run := pipelinetest.Run(t, p)
		rs := source.PushAll(1, 2)
		synctest.Wait()
		p.Stop(errOops)
		if err := run.Wait(); err == nil {
			t.Error("no error")
		}
		<-run.Done()
		rs = append(rs, source.Push(3))
		outcomes, err := rs.Wait(t.Context())
		equal(t, "outcomes", outcomes, []receipt.Outcome{receipt.Done, receipt.Abandoned, receipt.Abandoned})
		if err != pipelinetest.ErrEnded {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		source, sink := pipelinetest.NewSource[int](), pipelinetest.NewSink[int](nil)
		p := pipeline.New(config())
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), sink.Each, pipeline.StepConfig[int]{})
		run := pipelinetest.Run(t, p)
		first := source.Push(1)
		source.Close()
		late := source.Push(2)
		if err := run.Wait(); err != nil {
			t.Error(err)
		}
		equal(t, "first", first.Outcome(), receipt.Done)
		equal(t, "late", late.Finished(), true)
		equal(t, "events", sink.Events(), []int{1})
	})
}

// A source that has failed begins anew with what has no receipt.
func TestSourceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := pipelinetest.NewSource[int]()
		gate := make(chan bool)
		sink := pipelinetest.NewSink(func(ctx context.Context, v int) error {
			if v == 2 {
				select {
				case <-gate:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		p := pipeline.New(config())
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) { return source, nil }, pipeline.SourceConfig[int]{})
		pipeline.Each(in, sink.Each, pipeline.StepConfig[int]{})
		pipelinetest.Run(t, p)
		rs := source.PushAll(1, 2, 3)
		synctest.Wait()
		source.Fail(errOops)
		synctest.Wait()
		close(gate)
		outcomes, err := rs.Wait(t.Context())
		equal(t, "outcomes", outcomes, []receipt.Outcome{receipt.Done, receipt.Done, receipt.Done})
		equal(t, "error", err, nil)
		if n := times(sink); n[1] == 0 || n[2] == 0 || n[3] == 0 {
			t.Error(n)
		}
	})
}

// A letter that cannot be stored keeps its event waiting.
func TestLettersThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, letters := pipelinetest.NewSource[int](), &pipelinetest.Letters{}
		letters.Fail(errOops)
		cfg := config()
		cfg.DeadLetters, cfg.Retry = letters, retry.Policy{MaxAttempts: 1}
		p := pipeline.New(cfg)
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), func(context.Context, int) error { return errOops }, pipeline.StepConfig[int]{})
		pipelinetest.Run(t, p)
		r := source.Push(1)
		time.Sleep(time.Hour)
		if r.Finished() || len(letters.All()) != 0 {
			t.Fatal("a receipt before the letter was stored")
		}
		letters.Fail(nil)
		outcome, err := r.Wait(t.Context())
		equal(t, "outcome", outcome, receipt.Failed)
		equal(t, "letters", len(letters.All()), 1)
		equal(t, "error", err, nil)
	})
}

// Waiting ends with its context.
func TestWaitEnds(t *testing.T) {
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errOops)
	source, sink := pipelinetest.NewSource[int](), pipelinetest.NewSink[int](nil)
	if _, err := source.Push(1).Wait(gone); err != errOops {
		t.Error(err)
	}
	if _, err := sink.Wait(gone, 1); err != errOops {
		t.Error(err)
	}
	if err := sink.Each(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if got, err := sink.Wait(gone, 1); len(got) != 1 || err != nil {
		t.Error(got, err)
	}
}

// failing is a testing.TB that notes whether it has failed.
type failing struct {
	testing.TB
	cleanup func()
	failed  string
}

func (f *failing) Helper()          {}
func (f *failing) Cleanup(c func()) { f.cleanup = c }
func (f *failing) Errorf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
}

// A pipeline that ends with an error fails the test that has not asked for it.
func TestRunReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{}
		p := pipeline.New(config())
		pipeline.From(p, pipelinetest.NewSource[int](), pipeline.SourceConfig[int]{}) // nothing takes it
		pipelinetest.Run(f, p)
		f.cleanup()
		if !strings.Contains(f.failed, `pipeline "pipeline": `) {
			t.Errorf("%q", f.failed)
		}
	})
}

// The middleware of a step works as it says in a whole pipeline: a duplicate waits for the
// first event and is dropped after it, a breaker loses nothing, users who are offline are
// left out.
func TestMiddlewareInAPipeline(t *testing.T) {
	for _, workers := range []int{1, 4} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := pipelinetest.NewSource[int]()
				var up atomic.Bool
				var calls atomic.Int32
				sink := pipelinetest.NewSink(func(context.Context, int) error {
					calls.Add(1)
					time.Sleep(time.Second)
					if !up.Load() {
						return io.ErrUnexpectedEOF
					}
					return nil
				})
				quiet := slog.New(slog.DiscardHandler)
				breaker := stage.Must(middleware.NewBreaker(middleware.BreakerConfig{Failures: 2, Pause: time.Minute, MaxPause: time.Minute, Logger: quiet}))
				dedup := stage.Must(middleware.NewDeduplicator(middleware.DeduplicatorConfig[int]{Key: func(v int) string { return fmt.Sprint(v) }, Logger: quiet}))
				online := stage.Must(middleware.Online(middleware.OnlineConfig[int]{Online: func(_ context.Context, v int) bool { return v < 100 }}))
				p := pipeline.New(config())
				pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[int]{}), sink.Each, pipeline.StepConfig[int]{
					Workers: workers, Retry: retry.Policy{MaxAttempts: retry.Unlimited, Backoff: time.Second, MaxBackoff: time.Second},
					Use: []pipeline.Middleware[int]{online, dedup.Handle, middleware.Break[int](breaker)},
				})
				pipelinetest.Run(t, p)
				rs := source.PushAll(1, 2, 3, 1, 100, 2)
				time.Sleep(10 * time.Minute)
				if s := breaker.Snapshot(); s.State == middleware.BreakerClosed || calls.Load() > int32(2*workers+12) {
					t.Errorf("%v after %d calls", s.State, calls.Load())
				}
				up.Store(true)
				outcomes, err := rs.Wait(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "handled", times(sink), map[int]int{1: 1, 2: 1, 3: 1})
				equal(t, "outcome of 100", outcomes[4], receipt.Discarded)
				equal(t, "reason", rs[4].Reason(), receipt.Offline)
				discarded := 0
				for _, r := range rs {
					if r.Reason() == receipt.Duplicate {
						discarded++
					}
				}
				equal(t, "duplicates", discarded, 2)
			})
		})
	}
}
