package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

// step returns the control of a step.
func step(t *testing.T, p *pipeline.Pipeline, name string) *pipeline.Step {
	t.Helper()
	s, ok := p.Step(name)
	if !ok || s.Name() != name {
		t.Fatalf("no step %q", name)
	}
	return s
}

// drained drains p and waits for its end.
func drained(t *testing.T, p *pipeline.Pipeline, done <-chan error) {
	t.Helper()
	p.Drain()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPauseOfThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f, l := newFeed(0), &list{}
		pipeline.Each(pipeline.From(p, f, sourceConfig{Name: "source"}), l.add, stepConfig{})
		p.Pause() // before the run
		done := started(t, p)
		time.Sleep(time.Second)
		if got := l.all(); len(got) > 0 {
			t.Errorf("got %v in a pause", got)
		}
		p.Resume()
		synctest.Wait()
		l.has(t, 1)
		p.Pause()
		synctest.Wait()
		f.push(1, 2)
		synctest.Wait()
		l.has(t, 1)
		if s := p.Snapshot(t.Context()); !s.Paused {
			t.Errorf("%+v", s)
		}
		source := step(t, p, "source")
		source.Pause()
		p.Resume() // the source itself is still paused
		synctest.Wait()
		l.has(t, 1)
		source.Resume()
		synctest.Wait()
		l.has(t, 3)
		p.Pause()
		synctest.Wait()
		f.push(3)
		drained(t, p, done) // ends the pause
		l.has(t, 4)
		f.allDone(t, 4)
	})
}

// TestPauseOfAStep: it begins nothing, also after it was made anew, until it is resumed or
// the pipeline drains.
func TestPauseOfAStep(t *testing.T) {
	for _, workers := range []int{1, 3} {
		for _, drain := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				f, mapped, l := newFeed(0), &list{}, &list{}
				pipeline.Each(pipeline.Map(pipeline.From(p, f, sourceConfig{}), func(ctx context.Context, v int) (int, error) {
					return v, mapped.add(ctx, v)
				}, stepConfig{Name: "map", Workers: workers, Unordered: true}), l.add, stepConfig{Name: "end"})
				s := step(t, p, "map")
				s.Pause()
				done := started(t, p)
				synctest.Wait()
				if n := len(mapped.all()); n > 0 {
					t.Errorf("%d events in a pause", n)
				}
				if err := s.Restart(); err != nil {
					t.Error(err)
				}
				f.push(1, 2, 3)
				synctest.Wait()
				if n := len(mapped.all()); n > 0 {
					t.Errorf("%d events in a pause, after a restart", n)
				}
				if s := p.Snapshot(t.Context()).Steps[1]; !s.Paused || s.Restarts != 1 {
					t.Errorf("%+v", s)
				}
				if !drain {
					s.Resume()
					synctest.Wait()
					l.has(t, 4)
				}
				begun := time.Now()
				drained(t, p, done)
				if d := time.Since(begun); d > 0 {
					t.Errorf("the drain took %v", d)
				}
				l.has(t, 4)
				f.allDone(t, 4)
			})
		}
	}
}

// TestRateOfTheSources is kept, and changed while the pipeline runs.
func TestRateOfTheSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet, Rate: pipeline.Rate{PerSecond: 10}})
		f, l := newFeed(upTo(1000)...), &list{}
		pipeline.Each(pipeline.From(p, f, sourceConfig{Name: "source"}), l.add, stepConfig{})
		done := started(t, p)
		time.Sleep(10*time.Second + 50*time.Millisecond)
		if n := len(l.all()); n < 99 || n > 102 {
			t.Errorf("%d events in 10 s", n)
		}
		if err := p.SetRate(pipeline.Rate{PerSecond: 100}); err != nil {
			t.Error(err)
		}
		if s := p.Snapshot(t.Context()); s.Rate.PerSecond != 100 {
			t.Errorf("%+v", s.Rate)
		}
		time.Sleep(2 * time.Second)
		if n := len(l.all()); n < 298 || n > 303 {
			t.Errorf("%d events in 12 s", n)
		}
		if err := errors.Join(step(t, p, "source").SetRate(pipeline.Rate{PerSecond: 1}), p.SetRate(pipeline.Rate{})); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		if n := len(l.all()); n < 307 || n > 314 {
			t.Errorf("%d events in 22 s", n)
		}
		p.Stop(nil)
		<-done
	})
}

func TestRestartOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f, l := newFeed(upTo(10)...), &list{}
		lives := 0
		pipeline.To(pipeline.From(p, f, sourceConfig{Name: "source"}), func() (stage.Consumer[int], error) {
			lives++
			hangs := lives == 1
			return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
				if hangs {
					<-ctx.Done()
					return ctx.Err()
				}
				for _, v := range events {
					_ = l.add(ctx, v)
				}
				return nil
			}), nil
		}, pipeline.StageConfig{Name: "sink"})
		if err := step(t, p, "sink").Restart(); !errors.Is(err, pipeline.ErrStopped) {
			t.Error("before the run:", err)
		}
		done := started(t, p)
		synctest.Wait()
		if err := step(t, p, "source").Restart(); !errors.Is(err, pipeline.ErrUnable) {
			t.Error("a source of From:", err)
		}
		if err := step(t, p, "sink").Restart(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		l.has(t, 10)
		for range 10 { // no bound for these
			if err := step(t, p, "sink").Restart(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		drained(t, p, done)
		f.allDone(t, 10)
		if lives != 12 {
			t.Errorf("%d lives", lives)
		}
		if err := step(t, p, "sink").Restart(); !errors.Is(err, pipeline.ErrStopped) {
			t.Error("after the run:", err)
		}
	})
}

// TestDrainOfAStep ends what leads to it alone and what follows from it alone, and nothing
// else.
func TestDrainOfAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f, g := newFeed(upTo(100)...), newFeed(100)
		var x, y, z list
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{Name: "f"}))
		mapped := pipeline.Map(b.Branch("x", pipeline.BranchConfig{}), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Millisecond)
			return v, nil
		}, stepConfig{Name: "slow"})
		pipeline.Each(mapped, x.add, stepConfig{Name: "end-x"})
		pipeline.Each(pipeline.Merge(b.Branch("y", pipeline.BranchConfig{}), pipeline.From(p, g, sourceConfig{Name: "g"})), y.add, stepConfig{Name: "end-y"})
		parts := pipeline.Partition(b.Branch("z", pipeline.BranchConfig{}), 2, func(v int) uint64 { return uint64(v) })
		pipeline.Each(parts[0], z.add, stepConfig{Name: "even"})
		pipeline.Each(parts[1], z.add, stepConfig{Name: "odd"})
		done := started(t, p)
		time.Sleep(10 * time.Millisecond)
		states := func() string {
			var all []string
			for _, s := range p.Snapshot(t.Context()).Steps {
				all = append(all, s.Name)
			}
			return strings.Join(all, " ")
		}
		if err := step(t, p, "even").Drain(); err == nil || !strings.Contains(err.Error(), `pipeline step "even": option Drain`) {
			t.Error("one of two partitions:", err)
		}
		if err := step(t, p, "end-x").Drain(); err != nil {
			t.Error(err)
		}
		f.push(101)
		time.Sleep(time.Second)
		x.has(t, 100)
		if got := states(); got != "f y g end-y z partition-11 even odd" {
			t.Error(got)
		}
		if err := step(t, p, "g").Drain(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		f.push(102)
		synctest.Wait()
		if n := len(y.all()); n != 103 {
			t.Errorf("y has %d", n)
		}
		// The last one that f feeds, with the partitions.
		if err := step(t, p, "end-y").Drain(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		f.push(103)
		drained(t, p, done)
		if n := len(z.all()); n != 103 {
			t.Errorf("z has %d", n)
		}
		if ends := f.ends(); len(ends) != 103 {
			t.Errorf("%d receipts", len(ends))
		}
	})
}

// TestConsumerThatNeedsNoMore ends what only it was fed by.
func TestConsumerThatNeedsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(10)...)
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		mapped := pipeline.Map(b.Branch("few", pipeline.BranchConfig{}), same, stepConfig{})
		pipeline.To(mapped, func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(context.Context, []int) error { return stage.ErrDone }), nil
		}, pipeline.StageConfig{})
		var l list
		pipeline.Each(b.Branch("all", pipeline.BranchConfig{Buffer: 1}), l.add, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		f.push(10)
		synctest.Wait()
		l.has(t, 11)
		drained(t, p, done)
	})
}

// TestStepOfARunningPipeline: one that is added without Add is an error.
func TestStepOfARunningPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines logs
		p := pipeline.New(pipeline.Config{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		in := pipeline.From(p, newFeed(), sourceConfig{})
		b := pipeline.Broadcast(in)
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), none, stepConfig{})
		done := started(t, p)
		synctest.Wait()
		pipeline.Each(b.Branch("y", pipeline.BranchConfig{}), none, stepConfig{})
		if err := p.Err(); !errors.Is(err, pipeline.ErrStarted) {
			t.Error(err)
		}
		if err := p.Run(t.Context()); !errors.Is(err, pipeline.ErrStarted) {
			t.Error(err)
		}
		drained(t, p, done)
		for _, want := range []string{`shape="from-1 > x > each-4"`, "a broadcast has one branch", "a step of a running pipeline is wrong"} {
			if !strings.Contains(lines.String(), want) {
				t.Errorf("no %q in\n%s", want, lines.String())
			}
		}
	})
}

// logs collects lines of a log.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Name: "numbers", Logger: quiet})
		f := newFeed(upTo(3)...)
		pipeline.Each(pipeline.Map(pipeline.From(p, f, sourceConfig{}), same, stepConfig{}), none, stepConfig{})
		if s := p.Snapshot(t.Context()); s.Running || len(s.Steps) != 3 || s.Steps[1].State != "new" || len(s.Stages) != 0 {
			t.Errorf("before: %+v", s)
		}
		done := started(t, p)
		synctest.Wait()
		s := p.Snapshot(t.Context())
		if !s.Running || s.Draining || len(s.Stages) != 3 || len(s.Edges) != 2 {
			t.Errorf("while it runs: %+v", s)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"name":"numbers","running":true`, `"name":"map-2","kind":"map","state":"running","inputs":["from-1"],"paused":false`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		drained(t, p, done)
		if s := p.Snapshot(t.Context()); s.Running || s.Steps[0].State != "stopped" {
			t.Errorf("after: %+v", s)
		}
	})
}

// TestEnds: Run ends by its context, before and while it runs, by Drain and by Stop.
func TestEnds(t *testing.T) {
	cause := errors.New("cause")
	for name, tc := range map[string]struct {
		before, during func(p *pipeline.Pipeline, cancel func())
		want           error
	}{
		"the context":          {during: func(_ *pipeline.Pipeline, cancel func()) { cancel() }},
		"the context before":   {before: func(_ *pipeline.Pipeline, cancel func()) { cancel() }},
		"Drain before the run": {before: func(p *pipeline.Pipeline, _ func()) { p.Drain() }},
		"Stop":                 {during: func(p *pipeline.Pipeline, _ func()) { p.Stop(nil); p.Drain(); p.Stop(nil) }},
		"Stop with a cause":    {during: func(p *pipeline.Pipeline, _ func()) { p.Stop(cause) }, want: cause},
		"Stop before the run":  {before: func(p *pipeline.Pipeline, _ func()) { p.Stop(nil) }, want: pipeline.ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				pipeline.Each(pipeline.From(p, newFeed(1), sourceConfig{}), none, stepConfig{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.before != nil {
					tc.before(p, cancel)
				}
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				synctest.Wait()
				if tc.during != nil {
					tc.during(p, cancel)
				}
				if err := <-done; !errors.Is(err, tc.want) {
					t.Error(err)
				}
			})
		})
	}
}

func TestRunNeedsAContextAndSteps(t *testing.T) {
	var refused *pipeline.OptionError
	p := pipeline.New(pipeline.Config{Logger: quiet})
	var none context.Context
	if err := p.Run(none); !errors.As(err, &refused) || refused.Option != "ctx" {
		t.Error(err)
	}
	if err := p.Run(t.Context()); !errors.As(err, &refused) || refused.Option != "steps" {
		t.Error(err)
	}
	if err := pipeline.New(pipeline.Config{DrainTimeout: -1}).Err(); !errors.As(err, &refused) || refused.Owner != "pipeline.Pipeline" {
		t.Error(err)
	}
}

// sized is a handler that can be resized and slowed down.
type sized struct {
	stage.ConsumerFunc[int]
	workers int
	rate    pipeline.Rate
}

func (s *sized) Resize(n int) error { s.workers = n; return nil }

func (s *sized) SetRate(rate pipeline.Rate) error { s.rate = rate; return nil }

// TestControlOutlivesAStage: what was set applies to the next stage as well.
func TestControlOutlivesAStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		var lives []*sized
		pipeline.To(pipeline.Map(pipeline.From(p, newFeed(1), sourceConfig{}), same, stepConfig{Name: "map"}), func() (stage.Consumer[int], error) {
			h := &sized{ConsumerFunc: func(context.Context, []int) error { return nil }}
			lives = append(lives, h)
			return h, nil
		}, pipeline.StageConfig{Name: "sized"})
		s := step(t, p, "sized")
		if err := s.Resize(2); err != nil {
			t.Error(err)
		}
		done := started(t, p)
		synctest.Wait()
		if lives[0].workers != 2 {
			t.Error(lives[0])
		}
		rate := pipeline.Rate{PerSecond: 3}
		if err := errors.Join(s.Resize(4), s.SetRate(rate), s.Restart()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(lives) != 2 || lives[0].workers != 4 || lives[1].workers != 4 || lives[1].rate != rate {
			t.Error(lives[0], lives[1])
		}
		var refused *pipeline.OptionError
		if err := s.Resize(0); !errors.As(err, &refused) {
			t.Error(err)
		}
		if err := s.SetRate(pipeline.Rate{PerSecond: -1}); !errors.As(err, &refused) {
			t.Error(err)
		}
		if _, ok := p.Step("none"); ok {
			t.Error("there is no such step")
		}
		drained(t, p, done)
	})
}
