package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/consumer"
	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/stage"
)

// trace notes what middleware sees.
type trace struct {
	mu   sync.Mutex
	list []string
}

func (tr *trace) note(text ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.list = append(tr.list, strings.TrimSuffix(fmt.Sprintln(text...), "\n"))
}

// traced returns a middleware that notes the start of an attempt and its end, or its
// failure.
func traced[T any](tr *trace, name string) pipeline.Middleware[T] {
	return func(ctx context.Context, event T, next func(ctx context.Context) error) error {
		tr.note(name, "start", event)
		if info, ok := pipeline.BatchInfoOf(ctx); ok {
			tr.note(name, fmt.Sprintf("info key %q size %d trigger %v", info.Key, info.Size, info.Trigger))
		}
		ended := false
		defer func() {
			if !ended {
				tr.note(name, "exception", event)
			}
		}()
		err := next(ctx)
		ended = true
		tr.note(name, "stop", event, err)
		return err
	}
}

// badAcknowledger is a source whose first life panics over its first receipt.
type badAcknowledger struct {
	*feed
	life int
}

func (b *badAcknowledger) HandleReceipts(ctx context.Context, receipts []stage.Receipt) error {
	if b.life == 1 {
		panic("oops")
	}
	return b.feed.HandleReceipts(ctx, receipts)
}

var failureCases = []conformanceCase{
	{"B13_what happens to events and batches can be observed, in order", func(t *testing.T) {
		const failsInBatch = 9
		b, tr := newBroadway(t), &trace{}
		step := pipeline.Map(b.in, handle, stepConfig{Name: "step", Use: []pipeline.Middleware[int]{traced[int](tr, "message")}})
		pipeline.EachBatch(step, func(_ context.Context, events []int) error {
			if slices.Contains(events, failsInBatch) {
				return errFailed
			}
			return nil
		}, batchConfig{Name: "batch", Size: 2, Timeout: batchAge, Use: []pipeline.Middleware[[]int]{traced[[]int](tr, "batch")}})
		b.start()
		b.ends(b.source.bulk(1, 2, fails, failsInBatch, raises), "done done failed failed failed")
		want := []string{
			"message start 1", "message stop 1 <nil>", "message start 2", "message stop 2 <nil>",
			"message start -1", "message stop -1 failed", "message start 9", "message stop 9 <nil>",
			"message start -2", "message exception -2",
			"batch start [1 2]", `batch info key "" size 2 trigger size`, "batch stop [1 2] <nil>",
			"batch start [9]", `batch info key "" size 1 trigger timeout`, "batch stop [9] failed",
		}
		// What the events of the step do is in order, and so is what the batches do.
		only := func(list []string, kind string) string {
			return strings.Join(slices.DeleteFunc(slices.Clone(list), func(line string) bool { return !strings.HasPrefix(line, kind) }), "\n")
		}
		for _, kind := range []string{"message", "batch"} {
			b.is(kind, only(tr.list, kind), only(want, kind))
		}
		if i, j := slices.Index(tr.list, want[3]), slices.Index(tr.list, want[10]); i > j {
			t.Error("a batch before its events")
		}
		if !b.log.has("pipeline starts", "source > step > batch") {
			t.Error("no line about the start")
		}
	}},
	{"B23_the dead-letter sink has the failed events, and what it does wrong is contained", func(t *testing.T) {
		var writes atomic.Int32
		b := newBroadway(t)
		b.p = pipeline.New(pipeline.Config{Logger: quiet, Retry: b.cfg.Retry, DeadLetters: deadletter.SinkFunc(func(ctx context.Context, letters []deadletter.Letter) error {
			if writes.Add(1)%2 == 1 {
				panic("oops")
			}
			return b.letters.Write(ctx, letters)
		})})
		b.in = pipeline.From(b.p, b.source, sourceConfig{Name: "source"})
		step := pipeline.Map(b.in, handle, stepConfig{Name: "step"})
		pipeline.EachBatch(step, func(_ context.Context, events []int) error {
			if events[0] == 5 {
				panic("oops")
			}
			errs := consumer.EventErrors{}
			for i, v := range events {
				if v%2 == 0 {
					errs[i] = errFailed
				}
			}
			return errs
		}, batchConfig{Name: "batch", Size: 4, Timeout: batchAge})
		b.start()
		b.ends(b.source.bulk(fails, raises), "failed failed")
		b.is("dead", b.dead(), "step -1 failed, step -2 panic: oops")
		b.ends(b.source.bulk(1, 2, 3, 4), "done failed done failed")
		b.ends(b.source.bulk(5, 6, 7, 8), "failed failed failed failed")
		b.is("dead", b.dead(), "batch 2 failed, batch 4 failed, batch 5 panic: oops, batch 6 panic: oops, "+
			"batch 7 panic: oops, batch 8 panic: oops, step -1 failed, step -2 panic: oops")
		b.lived()
	}},
	{"B24_the handling of failures is counted, for a step and for its batches", func(t *testing.T) {
		b := newBroadway(t)
		pipeline.EachBatch(pipeline.Map(b.in, handle, stepConfig{Name: "step"}), func(context.Context, []int) error { return errFailed }, batchConfig{Name: "batch", Size: 2})
		b.letters.Fail(errFailed)
		b.start()
		receipts := b.source.bulk(fails, 1, 2)
		synctest.Wait()
		for _, stage := range []string{"step", "batch"} {
			if n, failed := b.figures.of("pipeline.dead_letters", stage), b.figures.of("pipeline.dead_letter_errors", stage); n != 0 || failed == 0 {
				t.Errorf("%s: %d letters, %d errors", stage, n, failed)
			}
		}
		b.letters.Fail(nil)
		b.ends(receipts, "failed failed failed")
		b.is("letters of the step", b.figures.of("pipeline.dead_letters", "step"), "1")
		b.is("letters of the batch", b.figures.of("pipeline.dead_letters", "batch"), "2")
		b.is("failures of the step", b.figures.of("pipeline.failures", "step"), "1")
		b.is("failures of the batch", b.figures.of("pipeline.failures", "batch"), "2")
	}},
	{"B25_a source that dies is made anew alone", func(t *testing.T) {
		source, sink := pipelinetest.NewSource[int](), pipelinetest.NewSink[int](nil)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) { return source, nil }, sourceConfig{Name: "source"})
		steps, ends := 0, 0
		step := pipeline.Through(in, func() (stage.ProducerConsumer[int, int], error) {
			steps++
			return stage.MapFunc[int, int](handle), nil
		}, pipeline.StageConfig{Name: "step"})
		pipeline.To(step, func() (stage.Consumer[int], error) {
			ends++
			return each(sink.Each), nil
		}, pipeline.StageConfig{Name: "end"})
		pipelinetest.Run(t, p)
		first := source.Push(1)
		if _, err := first.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		source.Fail(errFailed)
		synctest.Wait()
		if outcome, err := source.Push(2).Wait(t.Context()); err != nil {
			t.Fatal(outcome, err)
		}
		is(t, "events", sink.Events(), "[1 2]")
		is(t, "lives", []int{steps, ends}, "[1 1]")
		for _, s := range p.Snapshot(t.Context()).Steps {
			if want := map[bool]int{true: 1}[s.Name == "source"]; s.Restarts != want {
				t.Errorf("%+v", s)
			}
		}
	}},
	{"B27_a batcher that is killed is made anew with what is below it, and loses nothing", func(t *testing.T) {
		b, sink := newBroadway(t), newBatchLog()
		mapped := pipeline.Map(b.in, handle, stepConfig{Name: "step"})
		batches := pipeline.Batch(mapped, batchConfig{Name: "batch", Size: 2, Timeout: time.Hour, Restart: pipeline.Restart{Below: true}})
		ends := 0
		pipeline.To(batches, func() (stage.Consumer[[]int], error) {
			ends++
			return each(sink.add), nil
		}, pipeline.StageConfig{Name: "end"})
		b.start()
		const kill = 3
		b.ends(b.source.bulk(1, 2, kill, kill), allDone(4))
		lost := b.source.bulk(4)
		synctest.Wait() // it is in the batcher
		if err := step(t, b.p, "batch").Restart(); err != nil {
			t.Fatal(err)
		}
		b.ends(append(lost, b.source.bulk(5)...), "done done")
		b.ends(b.source.bulk(6, 7), "done done")
		b.is("batches", sink.text(), "[1 2] [3 3] [4 5] [6 7]")
		b.is("lives of the end", ends, "2")
		for _, s := range b.p.Snapshot(t.Context()).Steps {
			if s.Restarts > 0 && s.Name != "batch" {
				t.Errorf("%+v", s)
			}
		}
	}},
}
