package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// brief is a source that dies when its 100 events have been emitted, and then has nothing more.
type brief struct {
	lives int
	sent  bool
	self  *stage.Handle
}

func (b *brief) HandleStart(_ context.Context, self *stage.Handle) error {
	b.self = self
	return nil
}

func (b *brief) HandleDemand(_ context.Context, n int, emit *stage.Emitter[int]) error {
	if b.lives > 1 {
		return stage.ErrDone
	}
	if b.sent {
		return errDead
	}
	b.sent = true
	emit.EmitAll(upTo(100))
	time.AfterFunc(time.Millisecond, b.self.Wake)
	return nil
}

func (b *brief) HandleWake(context.Context, *stage.Emitter[int]) error { return errDead }

// A step whose source is over drains: made anew it would lose what it has.
func TestRestartOfAStepThatDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		var l list
		lives := 0
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) { lives++; return &brief{lives: lives}, nil }, sourceConfig{})
		pipeline.Each(in, func(ctx context.Context, v int) error {
			time.Sleep(100 * time.Millisecond)
			return l.add(ctx, v)
		}, stepConfig{Name: "end", Window: 200})
		done := started(t, p)
		time.Sleep(5 * time.Second)
		synctest.Wait() // lives is written on another goroutine
		if lives != 2 {
			t.Fatalf("%d lives", lives)
		}
		if err := step(t, p, "end").Restart(); !errors.Is(err, pipeline.ErrStopped) {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.has(t, 100)
	})
}

// A step is told to restart, and meanwhile finishes the last event of a source that ends then:
// this is an orderly end, whichever is heard of first.
func TestRestartAtTheEnd(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			f := complete(1)
			pipeline.To(pipeline.From(p, f, sourceConfig{}), pool(func(context.Context, int) error {
				time.Sleep(time.Second)
				return nil
			}), pipeline.StageConfig{Name: "end"})
			done := started(t, p)
			time.Sleep(time.Second / 2)
			if err := step(t, p, "end").Restart(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			f.allDone(t, 1)
		})
	}
}

// The source drains while the step below is made anew, which dies again at once: what it had is
// lost to the run, so that Run says so.
func TestDeathBelowASourceThatDrains(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet, Restart: pipeline.Restart{Backoff: time.Second, MaxBackoff: time.Second}})
			f := newFeed(upTo(20)...)
			m := &mortal{at: 7, deaths: 2}
			pipeline.To(pipeline.From(p, f, sourceConfig{Name: "source"}), m.to(&list{}), pipeline.StageConfig{})
			done := started(t, p)
			time.Sleep(time.Second / 2)
			if err := step(t, p, "source").Drain(); err != nil {
				t.Error(err)
			}
			err := <-done
			finished := 0
			for _, end := range f.ends() {
				if end == receipt.Done {
					finished++
				}
			}
			if err == nil && finished < 20 {
				t.Errorf("%d of 20 events are done, and Run returns nil", finished)
			}
			if err != nil && !errors.Is(err, errDead) {
				t.Error(err)
			}
		})
	}
}

// A step that waits to be made anew, with one below it, is taken into the group of one above it:
// all of them are made.
func TestGroupOfAGroupIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		below := pipeline.Restart{Backoff: time.Minute, MaxBackoff: time.Minute, Below: true}
		f := newFeed(upTo(20)...)
		m := &mortal{at: 7, deaths: 1}
		var l list
		first := pipeline.Map(pipeline.From(p, f, sourceConfig{}), same, stepConfig{Name: "first", Restart: below})
		second := pipeline.Through(first, m.through, pipeline.StageConfig{Name: "second", Restart: below})
		pipeline.Each(second, l.add, stepConfig{Name: "third"})
		done := started(t, p)
		time.Sleep(time.Second)
		if err := step(t, p, "first").Restart(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		for _, s := range p.Snapshot(t.Context()).Steps {
			if s.State != "running" {
				t.Errorf("%s is %s", s.Name, s.State)
			}
		}
		begun := time.Now()
		drained(t, p, done)
		if took := time.Since(begun); took > 0 {
			t.Errorf("the drain took %v", took)
		}
		l.has(t, 20)
		f.allDone(t, 20)
	})
}

// A stop while all steps wait to be made anew is no orderly end.
func TestStopWhileAllStepsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) { return &brief{sent: true}, nil },
			sourceConfig{Restart: pipeline.Restart{Backoff: time.Hour, MaxBackoff: time.Hour, Below: true}})
		pipeline.Each(in, none, stepConfig{})
		done := started(t, p)
		time.Sleep(time.Minute)
		reason := errors.New("enough")
		p.Stop(reason)
		if err := <-done; !errors.Is(err, reason) {
			t.Error(err)
		}
	})
}
