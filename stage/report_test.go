package stage_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/metrics"
	"github.com/penstock-go/penstock/metrics/metricstest"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func TestPipelineReportsItsStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rec := metricstest.New()
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{BufferSize: 2, Keep: stage.KeepLast}), consumer(dst, "C")
		sub := subscribe(t, c, p, stage.SubscribeConfig{Manual: true})
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Metrics: rec, MetricsInterval: time.Second}, p, c))
		done := run(t.Context(), line)
		push(t, p, src, 1, 2, 3)
		later := func() { // the next interval is over
			timer := time.NewTimer(time.Second + time.Millisecond)
			<-timer.C
			synctest.Wait()
		}
		check := func(name, of string, want float64) {
			t.Helper()
			if got, ok := rec.Value(name, metrics.Tag{Key: "stage", Value: of}); !ok || got != want {
				t.Fatalf("%s of %s is %v, want %v\n%s", name, of, got, want, rec)
			}
		}
		later()
		check("stage.buffered", "P", 2)
		check("stage.demand", "P", 0)
		equal(t, "discarded", rec.Count("pipeline.discarded", metrics.Tag{Key: "stage", Value: "P"}, metrics.Tag{Key: "reason", Value: string(receipt.BufferFull)}), 1)
		if err := sub.Ask(10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		later()
		check("stage.buffered", "P", 0)
		check("stage.demand", "P", 8)
		check("stage.batch_size", "C", 2)
		push(t, p, src, 4, 5, 6, 7)
		later()
		check("stage.batch_size", "C", 4) // of the interval, not since the start
		equal(t, "events", rec.Count("stage.events", metrics.Tag{Key: "stage", Value: "C"}), 6)
		dst.onEvents = func(context.Context, []int) error { return errOops }
		push(t, p, src, 8)
		if err := <-done; err == nil {
			t.Fatal("no error")
		}
		equal(t, "abandoned", rec.Count("stage.abandoned", metrics.Tag{Key: "stage", Value: "P"}), 1)
		equal(t, "emitted", rec.Count("stage.events", metrics.Tag{Key: "stage", Value: "P"}), 8)
		for _, of := range []string{"P", "C"} { // gauges end with their stage
			check("stage.demand", of, 0)
			check("stage.buffered", of, 0)
			check("stage.batch_size", of, 0)
		}
	})
}

// A stage that is busy in a handler delays neither the figures of others nor the end.
func TestReportDoesNotWaitForABusyStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rec := metricstest.New()
		src, dst := &source{}, pausing(1)
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		subscribe(t, c, p, four)
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{Metrics: rec, MetricsInterval: time.Second}, p, c))
		done := run(t.Context(), line)
		push(t, p, src, 1)
		timer := time.NewTimer(2500 * time.Millisecond)
		<-timer.C
		equal(t, "emitted", rec.Count("stage.events", metrics.Tag{Key: "stage", Value: "P"}), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all := line.Snapshot(ctx).Stages
		if len(all) != 2 || all[0].Busy || all[0].Emitted != 1 || !all[1].Busy || all[1].Name != "C" {
			t.Fatalf("%+v", all)
		}
		line.Stop(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
