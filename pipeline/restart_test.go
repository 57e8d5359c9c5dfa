package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/stage"
)

var errDead = errors.New("dead")

// mortal is a handler factory whose stage dies over the event at, the first deaths times.
type mortal struct {
	at     int
	deaths int
	made   atomic.Int32
	mu     sync.Mutex
	died   []time.Time
}

// dies returns the error with which the handler fails over the event.
func (m *mortal) dies(v int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v == m.at && len(m.died) < m.deaths {
		m.died = append(m.died, time.Now())
		return errDead
	}
	return nil
}

// through is the factory of a step that passes events on.
func (m *mortal) through() (stage.ProducerConsumer[int, int], error) {
	m.made.Add(1)
	return stage.ProducerConsumerFunc[int, int](func(_ context.Context, events []int, emit *stage.Emitter[int]) error {
		for i, v := range events {
			if err := m.dies(v); err != nil {
				return err
			}
			emit.From(i)
			emit.Emit(v)
		}
		return nil
	}), nil
}

// to is the factory of an end that puts events in l.
func (m *mortal) to(l *list) func() (stage.Consumer[int], error) {
	return func() (stage.Consumer[int], error) {
		m.made.Add(1)
		return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
			for _, v := range events {
				if err := m.dies(v); err != nil {
					return err
				}
				_ = l.add(ctx, v)
			}
			return nil
		}), nil
	}
}

// TestDeadStepIsMadeAnew: a step that dies is made anew, wherever it is, and each event is
// handled and has its receipt.
func TestDeadStepIsMadeAnew(t *testing.T) {
	for name, build := range map[string]func(in *pipeline.Flow[int], m *mortal, l *list){
		"an end": func(in *pipeline.Flow[int], m *mortal, l *list) {
			pipeline.To(in, m.to(l), pipeline.StageConfig{Name: "mortal"})
		},
		"in the middle": func(in *pipeline.Flow[int], m *mortal, l *list) {
			pipeline.Each(pipeline.Map(pipeline.Through(in, m.through, pipeline.StageConfig{Name: "mortal"}), same, stepConfig{}), l.add, stepConfig{})
		},
		"with those below": func(in *pipeline.Flow[int], m *mortal, l *list) {
			mid := pipeline.Through(in, m.through, pipeline.StageConfig{Name: "mortal", Restart: pipeline.Restart{Below: true}})
			pipeline.Each(pipeline.Map(mid, same, stepConfig{}), l.add, stepConfig{})
		},
		"below a fair dispatcher": func(in *pipeline.Flow[int], m *mortal, l *list) {
			flow := pipeline.Fair(pipeline.Map(in, same, stepConfig{}), func(v int) int { return v % 7 }, fair.Config[int]{})
			pipeline.To(flow, m.to(l), pipeline.StageConfig{Name: "mortal"})
		},
		"with a fair dispatcher": func(in *pipeline.Flow[int], m *mortal, l *list) {
			flow := pipeline.Fair(pipeline.Through(in, m.through, pipeline.StageConfig{Name: "mortal"}), func(v int) int { return v % 7 }, fair.Config[int]{})
			pipeline.Each(flow, l.add, stepConfig{})
		},
		"above a broadcast": func(in *pipeline.Flow[int], m *mortal, l *list) {
			b := pipeline.Broadcast(pipeline.Through(in, m.through, pipeline.StageConfig{Name: "mortal"}))
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), none, stepConfig{})
			pipeline.Each(b.Branch("b", pipeline.BranchConfig{Buffer: 1}), l.add, stepConfig{})
		},
		"below a broadcast": func(in *pipeline.Flow[int], m *mortal, l *list) {
			b := pipeline.Broadcast(in)
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), none, stepConfig{})
			pipeline.To(b.Branch("b", pipeline.BranchConfig{}), m.to(l), pipeline.StageConfig{Name: "mortal"})
		},
		"in a partition": func(in *pipeline.Flow[int], m *mortal, l *list) {
			for i, flow := range pipeline.Partition(in, 3, func(v int) uint64 { return uint64(v) }) {
				if i == 250%3 {
					pipeline.To(flow, m.to(l), pipeline.StageConfig{Name: "mortal"})
				} else {
					pipeline.Each(flow, l.add, stepConfig{})
				}
			}
		},
		"after a merge": func(in *pipeline.Flow[int], m *mortal, l *list) {
			parts := pipeline.Partition(in, 2, func(v int) uint64 { return uint64(v) })
			pipeline.To(pipeline.Merge(parts...), m.to(l), pipeline.StageConfig{Name: "mortal"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				f := newFeed(upTo(1000)...)
				m, l := &mortal{at: 250, deaths: 1}, &list{}
				build(pipeline.From(p, f, sourceConfig{}), m, l)
				done := started(t, p)
				time.Sleep(time.Second)
				f.allDone(t, 1000)
				l.has(t, 1000)
				if n := m.made.Load(); n != 2 {
					t.Errorf("made %d times, want 2", n)
				}
				f.push(1000)
				time.Sleep(time.Second)
				for _, s := range p.Snapshot(t.Context()).Steps {
					if want := map[bool]int{s.Name == "mortal": 1}[true]; s.Restarts != want || s.State != "running" {
						t.Errorf("%+v", s)
					}
				}
				p.Drain()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				f.allDone(t, 1001)
				l.has(t, 1001)
			})
		})
	}
}

// TestTooManyRestarts: a step that dies again and again, with longer and longer pauses,
// ends the pipeline with an error that says so.
func TestTooManyRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(10)...)
		var died []time.Time
		pipeline.To(pipeline.From(p, f, sourceConfig{}), func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(context.Context, []int) error {
				died = append(died, time.Now())
				return errDead
			}), nil
		}, pipeline.StageConfig{Name: "mortal", MaxDemand: 2, MinDemand: 1})
		err := <-started(t, p)
		var e *pipeline.RestartError
		if !errors.As(err, &e) || !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		if e.Step != "mortal" || e.Restarts != 3 || e.Window != 5*time.Second {
			t.Errorf("%+v", e)
		}
		if len(died) != 4 {
			t.Fatalf("died %d times", len(died))
		}
		for i, want := range []time.Duration{100, 200, 400} {
			if got := died[i+1].Sub(died[i]); got != want*time.Millisecond {
				t.Errorf("pause %d is %v", i, got)
			}
		}
	})
}

// TestWhatEndsThePipelineAtOnce: a step without a restart, a source that exists once.
func TestWhatEndsThePipelineAtOnce(t *testing.T) {
	for name, build := range map[string]func(p *pipeline.Pipeline, f *feed, m *mortal){
		"NoRestart": func(p *pipeline.Pipeline, f *feed, m *mortal) {
			pipeline.To(pipeline.From(p, f, sourceConfig{}), m.to(&list{}), pipeline.StageConfig{Restart: pipeline.Restart{MaxRestarts: pipeline.NoRestart}})
		},
		"a source": func(p *pipeline.Pipeline, f *feed, m *mortal) {
			pipeline.Each(pipeline.From(p, f, sourceConfig{}), func(_ context.Context, v int) error {
				if v == 5 {
					f.die(errDead)
				}
				return nil
			}, stepConfig{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				build(p, newFeed(upTo(10)...), &mortal{at: 5, deaths: 100})
				begun := time.Now()
				if err := <-started(t, p); !errors.Is(err, errDead) {
					t.Error(err)
				}
				if d := time.Since(begun); d > 0 {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

// TestSourceOfAFactory is made anew.
func TestSourceOfAFactory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		lives := 0
		in := pipeline.FromFunc(p, func() (stage.Producer[int], error) {
			lives++
			f := newFeed(lives)
			if lives < 3 {
				f.fail = errDead
			}
			f.drained = true
			return f, nil
		}, sourceConfig{})
		var l list
		pipeline.Each(in, l.add, stepConfig{})
		if err := <-started(t, p); err != nil {
			t.Fatal(err)
		}
		if got := l.all(); lives != 3 || len(got) != 1 || got[0] != 3 {
			t.Error(lives, got)
		}
	})
}

// TestFactoryThatFails: at the start Run returns the error; later it counts as a death.
func TestFactoryThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.To(pipeline.From(p, newFeed(1), sourceConfig{}), func() (stage.Consumer[int], error) { return nil, errDead }, pipeline.StageConfig{})
		if err := <-started(t, p); !errors.Is(err, errDead) {
			t.Error(err)
		}
	})
	for _, failures := range []int{2, 100} {
		synctest.Test(t, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			m, l, calls := &mortal{at: 5, deaths: 1}, &list{}, 0
			pipeline.To(pipeline.From(p, newFeed(upTo(10)...), sourceConfig{}), func() (stage.Consumer[int], error) {
				if calls++; calls > 1 && calls <= 1+failures {
					return nil, errDead
				}
				return m.to(l)()
			}, pipeline.StageConfig{})
			done := started(t, p)
			time.Sleep(3 * time.Second)
			p.Drain()
			err := <-done
			if failures == 2 {
				if err != nil {
					t.Error(err)
				}
				l.has(t, 10)
				return
			}
			var e *pipeline.RestartError
			if !errors.As(err, &e) || calls != 4 {
				t.Error(err, calls)
			}
		})
	}
}

// TestFactoryThatPanics is as one that fails.
func TestFactoryThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		pipeline.To(pipeline.From(p, newFeed(1), sourceConfig{}), func() (stage.Consumer[int], error) { panic("oops") }, pipeline.StageConfig{})
		if err := <-started(t, p); err == nil || !strings.Contains(err.Error(), "oops") {
			t.Error(err)
		}
	})
}

// TestStageThatDoesNotStop: a restart on request waits for it up to StopTimeout, and then
// the pipeline ends with an error.
func TestStageThatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet, DrainTimeout: time.Second})
		gate := make(chan struct{})
		pipeline.To(pipeline.From(p, newFeed(1), sourceConfig{}), func() (stage.Consumer[int], error) {
			return stage.ConsumerFunc[int](func(context.Context, []int) error { <-gate; return nil }), nil
		}, pipeline.StageConfig{Name: "stuck"})
		done := started(t, p)
		synctest.Wait()
		begun := time.Now()
		if err := step(t, p, "stuck").Restart(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, stage.ErrHung) {
			t.Error(err)
		}
		if d := time.Since(begun); d != 11*time.Second { // StopTimeout, DrainTimeout, StopTimeout
			t.Errorf("after %v", d)
		}
		close(gate)
	})
}

// TestBatchAtTheEnd: a batch that waits for more is passed on when its source has ended, and
// when it is made anew it has its events again.
func TestBatchAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		var got [][]int
		batches := pipeline.Batch(pipeline.From(p, numbers(5), sourceConfig{}), pipeline.BatchConfig[int]{Size: 3, Timeout: pipeline.NoTimeout})
		pipeline.Each(batches, func(_ context.Context, b []int) error { got = append(got, slices.Clone(b)); return nil }, pipeline.StepConfig[[]int]{})
		begun := time.Now()
		run(t, p)
		if d := time.Since(begun); d > 0 || fmt.Sprint(got) != "[[0 1 2] [3 4]]" {
			t.Error(d, got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f, l := newFeed(0, 1), &list{}
		batches := pipeline.Batch(pipeline.From(p, f, sourceConfig{}), pipeline.BatchConfig[int]{Name: "batch", Size: 3, Timeout: time.Hour})
		pipeline.Each(batches, func(ctx context.Context, b []int) error {
			for _, v := range b {
				_ = l.add(ctx, v)
			}
			return nil
		}, pipeline.StepConfig[[]int]{})
		done := started(t, p)
		synctest.Wait()
		if err := step(t, p, "batch").Restart(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		f.push(2)
		synctest.Wait()
		l.has(t, 3)
		f.push(3)
		drained(t, p, done)
		l.has(t, 4)
		f.allDone(t, 4)
	})
}

// TestDrainDuringAPause: a step that waits to be made anew is so at once, and finishes what
// was accepted.
func TestDrainDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet, Restart: pipeline.Restart{Backoff: time.Hour}})
		f := newFeed(upTo(100)...)
		m, l := &mortal{at: 50, deaths: 1}, &list{}
		pipeline.To(pipeline.From(p, f, sourceConfig{}), m.to(l), pipeline.StageConfig{})
		done := started(t, p)
		time.Sleep(time.Minute)
		begun := time.Now()
		p.Drain()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("took %v", d)
		}
		l.has(t, 100)
		f.allDone(t, 100)
	})
}

// TestStopDuringAPause ends at once.
func TestStopDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet, Restart: pipeline.Restart{Backoff: time.Hour}})
		m := &mortal{at: 50, deaths: 1}
		pipeline.To(pipeline.From(p, newFeed(upTo(100)...), sourceConfig{}), m.to(&list{}), pipeline.StageConfig{})
		done := started(t, p)
		time.Sleep(time.Minute)
		begun := time.Now()
		p.Stop(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("took %v", d)
		}
	})
}
