package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// dozer is a consumer that sleeps once in its handler, and so subscribes late to a stage that
// was made anew.
type dozer struct {
	ended *tally
	slept bool
}

func (d *dozer) HandleEvents(_ context.Context, events []int) error {
	for _, v := range events {
		d.ended.note(v)
	}
	if !d.slept && events[len(events)-1] >= 380 {
		d.slept = true
		time.Sleep(2 * time.Second)
	}
	return nil
}

// TestRestartThenDrain drains while the stage below a step that was made anew is in its
// handler, and so has not subscribed again: the drain waits for it, since a stage that drains
// would refuse the subscription, and end with what it has to deliver.
func TestRestartThenDrain(t *testing.T) {
	for name, drain := range map[string]func(t *testing.T, p *pipeline.Pipeline){
		"of the pipeline": func(_ *testing.T, p *pipeline.Pipeline) { p.Drain() },
		"of the source": func(t *testing.T, p *pipeline.Pipeline) {
			if err := step(t, p, "source").Drain(); err != nil {
				t.Error(err)
			}
		},
		"of the step": func(t *testing.T, p *pipeline.Pipeline) {
			if err := step(t, p, "work").Drain(); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, after := range []time.Duration{0, 500 * time.Microsecond, 20 * time.Millisecond} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := pipeline.New(pipeline.Config{Logger: quiet})
					source, worked, ended := &torrent{}, &tally{}, &tally{}
					out := pipeline.Map(pipeline.From(p, source, sourceConfig{Name: "source"}), worked.busyFor(time.Millisecond),
						stepConfig{Name: "work", Window: 200, Workers: 4})
					pipeline.To(out, func() (stage.Consumer[int], error) { return &dozer{ended: ended}, nil }, pipeline.StageConfig{Name: "end"})
					done := started(t, p)
					time.Sleep(100500 * time.Microsecond)
					if err := step(t, p, "work").Restart(); err != nil {
						t.Error(err)
					}
					time.Sleep(after)
					drain(t, p)
					if err := <-done; err != nil {
						t.Error(err)
					}
					source.finished(t)
					worked.check(t, "work", source.emitted(), 200)
					ended.check(t, "end", source.emitted(), 200)
				})
			})
		}
	}
}

// TestRestartThenRemove removes a branch while a step of it is made anew: what the branch has
// received is finished all the same.
func TestRestartThenRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		source, ended := &torrent{}, &tally{}
		worked, kept := &tally{}, &tally{}
		fan := pipeline.Broadcast(pipeline.From(p, source, sourceConfig{Name: "source"}))
		pipeline.Each(fan.Branch("main", pipeline.BranchConfig{}), func(_ context.Context, v int) error {
			ended.note(v)
			time.Sleep(time.Millisecond)
			return nil
		}, stepConfig{Name: "main-end"})
		extra := pipeline.Map(fan.Branch("extra", pipeline.BranchConfig{}), worked.busyFor(time.Millisecond), stepConfig{Name: "work"})
		pipeline.Each(extra, func(_ context.Context, v int) error { kept.note(v); return nil }, stepConfig{Name: "extra-end"})
		done := started(t, p)
		time.Sleep(100500 * time.Microsecond)
		if err := step(t, p, "work").Restart(); err != nil {
			t.Error(err)
		}
		if err := fan.Remove("extra"); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if n := kept.total(); n < 1000 {
			t.Errorf("%d events in the branch that was removed, want those that it has received", n)
		}
		drained(t, p, done)
		source.finished(t)
		ended.check(t, "main", source.emitted(), 0)
	})
}
