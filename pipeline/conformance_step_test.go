package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/receipt"
)

var stepCases = []conformanceCase{
	{"B7_pushed events are one batch with one acknowledgement", func(t *testing.T) {
		b, handled, batches := newBroadway(t), &list{}, newBatchBook()
		passed := pipeline.Map(b.in, func(ctx context.Context, v int) (int, error) { return v, handled.add(ctx, v) }, stepConfig{})
		pipeline.EachBatch(passed, batches.add, batchConfig{Size: 2})
		b.start()
		b.ends(b.source.bulk(1, 3), "done done")
		b.is("handled", handled.all(), "[1 3]")
		b.is("batches", batches.text(), "[1 3] size")
		b.is("acks", b.source.acks(), "done [1 3]")
	}},
	{"B8_a test event has its metadata, and its receipt goes to the test or to another acknowledger", func(t *testing.T) {
		type message struct {
			data     int
			metadata map[string]string
		}
		source, p := pipelinetest.NewSource[message](), pipeline.New(pipeline.Config{Logger: quiet})
		var got []string
		pipeline.Each(pipeline.From(p, source, pipeline.SourceConfig[message]{}), func(_ context.Context, m message) error {
			got = append(got, fmt.Sprint(m.data, len(m.metadata), m.metadata["key"]))
			return nil
		}, pipeline.StepConfig[message]{})
		pipelinetest.Run(t, p)
		for _, m := range []message{{data: 1}, {data: 2, metadata: map[string]string{"key": "value"}}} {
			r := source.Push(m)
			if outcome, err := r.Wait(t.Context()); outcome != receipt.Done || err != nil || r.Event.data != m.data {
				t.Error(outcome, err, r.Event)
			}
		}
		is(t, "events", got, "[1 0 2 1value]")
		// Another acknowledger is another source.
		own, q := newFeed(0), pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.Each(pipeline.From(q, own, sourceConfig{}), none, stepConfig{})
		pipelinetest.Run(t, q)
		synctest.Wait()
		own.allDone(t, 1)
	}},
	{"B9_a function for many events at once fails all of them or none", func(t *testing.T) {
		b, handled := newBroadway(t), &list{}
		prepared := pipeline.MapBatch(b.in, func(_ context.Context, events []int) ([]int, error) {
			switch events[0] {
			case 1:
				return events[:1], nil
			case 5:
				panic("oops")
			}
			return slices.Clone(events), nil
		}, batchConfig{Name: "prepare", Size: 4})
		pipeline.Each(prepared, handled.add, stepConfig{})
		b.start()
		b.ends(b.source.bulk(1, 2, 3, 4), "failed failed failed failed")
		if !b.log.has("event failed", "stage=prepare", "1 results for a batch of 4") {
			t.Error("no log line")
		}
		b.lived()
		b.ends(b.source.bulk(5, 6, 7, 8), "failed failed failed failed")
		b.lived()
		b.is("handled", handled.all(), "[]") // their step is skipped
		b.ends(b.source.bulk(9, 10, 11, 12), "done done done done")
		b.is("handled", handled.all(), "[9 10 11 12]")
	}},
	{"B10_failed events are acknowledged as failed and not passed on", func(t *testing.T) {
		b, batches := newBroadway(t), newBatchBook()
		pipeline.EachBatch(pipeline.Map(b.in, handle, stepConfig{Name: "step", Window: 2}), batches.add, batchConfig{Size: 2})
		b.start()
		b.ends(b.source.bulk(1, fails, fails, 4), "done failed failed done")
		b.is("batches", batches.text(), "[1 4] size")
		b.is("acks of 1", b.source.count[1], "1")
		b.is("acks of the failed ones", b.source.count[fails], "2")
		b.is("acks of 4", b.source.count[4], "1")
		b.is("dead", b.dead(), "step -1 failed, step -1 failed")
		b.lived()
	}},
	{"B11_an event that cannot be handled fails alone", func(t *testing.T) {
		const stray = 7
		b, batches := newBroadway(t), newBatchBook()
		routes := pipeline.Route(pipeline.Map(b.in, handle, stepConfig{Name: "step"}), []string{"default"}, func(v int) string {
			if v == stray {
				return "unknown"
			}
			return "default"
		})
		pipeline.EachBatch(routes.Flow("default"), batches.add, batchConfig{Size: 2})
		b.start()
		for _, tc := range []struct {
			event                     int
			ends, dead, log, restarts string
		}{
			{raises, "done failed done", "step -2 panic: oops", "stack=", ""},
			// It ends the stage's goroutine, once; then the step has workers for its events.
			{exits, "done failed done", "step -3 handler called runtime.Goexit", "runtime.Goexit", "step 1"},
			{exits, "done failed done", "step -3 handler called runtime.Goexit", "runtime.Goexit", "step 1"},
			{stray, "done failed done", `route-3 7 there is no flow of the name "unknown"`, "", "step 1"},
		} {
			before := len(b.letters.All())
			b.ends(b.source.bulk(1, tc.event, 4), tc.ends)
			b.is("batches", batches.text(), "[1 4] size")
			time.Sleep(2 * time.Second) // one line a second
			var dead string
			for _, l := range b.letters.All()[before:] {
				dead += fmt.Sprintf("%s %s %s", l.Stage, l.Event, l.Error)
			}
			b.is("dead", dead, tc.dead)
			if !b.log.has("stage=step", tc.log) {
				t.Errorf("no log line with %q", tc.log)
			}
			b.is("restarts", b.restarts(), tc.restarts)
		}
	}},
	{"B11_events that end their goroutine do not end the pipeline", func(t *testing.T) {
		for name, build := range map[string]func(in *pipeline.Flow[int]){
			"map": func(in *pipeline.Flow[int]) {
				pipeline.Each(pipeline.Map(in, handle, stepConfig{Name: "step"}), none, stepConfig{})
			},
			"each": func(in *pipeline.Flow[int]) {
				pipeline.Each(in, func(_ context.Context, v int) error { return broken(v) }, stepConfig{Name: "step"})
			},
		} {
			b := newBroadway(t)
			build(b.in)
			b.start()
			for range 20 {
				b.ends(b.source.bulk(1, 2), "done done")
				time.Sleep(10 * time.Millisecond)
				b.ends(b.source.bulk(1, exits, 4), "done failed done")
			}
			b.is(name, b.restarts(), "step 1")
			b.p.Drain()
			if err := b.run.Wait(); err != nil {
				t.Error(err)
			}
		}
	}},
	{"B14_without batches the step itself acknowledges", func(t *testing.T) {
		b, handled := newBroadway(t), &list{}
		pipeline.Each(b.in, func(ctx context.Context, v int) error {
			if err := broken(v); err != nil {
				return err
			}
			return handled.add(ctx, v)
		}, stepConfig{Name: "step", Window: 2})
		b.start()
		b.ends(b.source.bulk(1, 2, 3, 4), "done done done done")
		b.is("acks of 3", b.source.count[3], "1")
		b.ends(b.source.bulk(fails, raises), "failed failed")
		var names []string
		for _, s := range b.p.Snapshot(t.Context()).Steps {
			names = append(names, s.Name)
		}
		b.is("steps", names, "[source step]")
	}},
	{"B14_what is not delivered is acknowledged before the end", func(t *testing.T) {
		b, handled, gate := newBroadway(t), &list{}, make(chan struct{})
		pipeline.Each(b.in, func(ctx context.Context, v int) error {
			<-gate
			return handled.add(ctx, v)
		}, stepConfig{Window: 1})
		b.start()
		receipts := b.source.bulk(1, 2, 3, 4, 5)
		synctest.Wait() // 1 is delivered
		b.p.Drain()
		close(gate)
		if err := b.run.Wait(); err != nil {
			t.Error(err)
		}
		b.ends(receipts, "done done done done done")
		b.is("handled", handled.all(), "[1 2 3 4 5]")
	}},
}
