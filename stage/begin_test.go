package stage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/stage"
)

// A HandleStart that waits for its context does not keep the pipeline from being
// ended; what was started before is drained.
func TestEndWhileAStageStarts(t *testing.T) {
	for name, end := range map[string]func(line *stage.Pipeline, cancel func(), src *source){
		"context":    func(_ *stage.Pipeline, cancel func(), _ *source) { cancel() },
		"drain":      func(line *stage.Pipeline, _ func(), _ *source) { line.Drain() },
		"stop":       func(line *stage.Pipeline, _ func(), _ *source) { line.Stop(nil) },
		"other ends": func(_ *stage.Pipeline, _ func(), src *source) { src.self.Send(stage.ErrDone) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				src, dst, late := &source{}, newSink(), newSink()
				src.onInfo = func(msg any) error { return msg.(error) }
				p, c, last := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C"), consumer(late, "last")
				waiting := stage.Must(stage.NewProducer(&source{onStart: func(ctx context.Context) error {
					<-ctx.Done()
					return fmt.Errorf("connect: %w", ctx.Err())
				}}, stage.ProducerConfig[int]{Name: "waiting"}))
				subscribe(t, c, p, four)
				subscribe(t, last, waiting, four)
				line := stage.Must(stage.NewPipeline(stage.PipelineConfig{KeepRunning: name == "other ends"}, p, c, waiting, last))
				ctx, cancel := context.WithCancel(t.Context())
				done := run(ctx, line)
				push(t, p, src, 1, 2)
				lives(t, p, c, waiting, last)
				begun := time.Now()
				end(line, cancel, src)
				if name == "other ends" {
					synctest.Wait()
					died(t, c, nil)
					cancel()
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if d := time.Since(begun); d > 2*time.Second {
					t.Errorf("it took %v", d)
				}
				died(t, waiting, nil)
				equal(t, "events", dst.events(), []int{1, 2})
				cancel()
			})
		})
	}
}

// A stage that fails while another one starts drains the pipeline.
func TestFailureWhileAStageStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := &source{onDemand: func(int) error { return errOops }}
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		waiting := producer(&source{onStart: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}, stage.ProducerConfig[int]{Name: "waiting"})
		subscribe(t, c, p, four)
		err := stage.Run(t.Context(), c, p, waiting)
		if !errors.Is(err, errOops) {
			t.Fatal(err)
		}
		died(t, waiting, nil)
	})
}

// One that is only slow to start when the drain begins still takes what its
// producer holds.
func TestSlowStartLosesNothingToADrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{counting: true, limit: 4}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		slow := producer(&source{onStart: func(context.Context) error { time.Sleep(time.Second / 2); return nil }}, stage.ProducerConfig[int]{Name: "slow"})
		subscribe(t, c, p, four)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := stage.Run(ctx, slow, c, p); err != nil {
			t.Fatal(err)
		}
		died(t, slow, nil)
	})
}

// A HandleStart that does not heed its context is a handler that hangs.
func TestHungStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := producer(&source{onStart: func(context.Context) error { <-release; return nil }}, stage.ProducerConfig[int]{Name: "hung"})
		p, c := producer(&source{}, stage.ProducerConfig[int]{}), consumer(newSink(), "C")
		subscribe(t, c, p, four)
		line := stage.Must(stage.NewPipeline(stage.PipelineConfig{DrainTimeout: 3 * time.Second, StopTimeout: time.Second}, p, c, hung))
		done := run(t.Context(), line)
		begun := time.Now()
		line.Drain()
		err := <-done
		if !errors.Is(err, stage.ErrHung) || !errors.Is(err, stage.ErrDrainTimeout) {
			t.Fatal(err)
		}
		equal(t, "took", time.Since(begun), 4*time.Second)
		close(release)
		<-hung.Stopped()
	})
}

// A pipeline whose stages run in another one is refused, and leaves them alone.
func TestSecondRunOfTheSameStages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src, dst := &source{}, newSink()
		p, c := producer(src, stage.ProducerConfig[int]{}), consumer(dst, "C")
		other := producer(&source{}, stage.ProducerConfig[int]{Name: "other"})
		subscribe(t, c, p, four)
		first := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
		done := run(t.Context(), first)
		second := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, other, p))
		if err := second.Run(t.Context()); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
		second.Stop(nil)
		synctest.Wait()
		push(t, p, src, 1)
		lives(t, p, c)
		equal(t, "events", dst.events(), []int{1})
		if err := c.Start(t.Context()); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
		first.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := stage.Run(t.Context(), c); !errors.Is(err, stage.ErrStarted) {
			t.Fatal(err)
		}
	})
}

// A stage that hangs for as long as Run waits is reported, whichever of the two
// is noticed first.
func TestHungAsLongAsRunWaits(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			dst := newSink()
			dst.onEnd = func() error { time.Sleep(5 * time.Second); return fmt.Errorf("workers: %w", stage.ErrHung) }
			p, c := producer(&source{}, stage.ProducerConfig[int]{}), consumer(dst, "C")
			subscribe(t, c, p, four)
			line := stage.Must(stage.NewPipeline(stage.PipelineConfig{}, p, c))
			done := run(t.Context(), line)
			line.Stop(nil)
			if err := <-done; !errors.Is(err, stage.ErrHung) {
				t.Fatal(err)
			}
			<-c.Stopped()
		})
	}
}
