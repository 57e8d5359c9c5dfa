package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/pipeline/pipelinetest"
	"github.com/penstock-go/penstock/stage"
)

// passOn is the factory of a stage that emits what it gets.
func passOn() (stage.ProducerConsumer[int, int], error) { return stage.MapFunc[int, int](same), nil }

// starting is a source with a start and an end of its own.
type starting struct {
	*feed
	start func() error
	end   func(reason error)
}

func (s *starting) HandleStart(ctx context.Context, self *stage.Handle) error {
	return errors.Join(s.feed.HandleStart(ctx, self), s.start())
}

func (s *starting) HandleTerminate(_ context.Context, reason error) error {
	if s.end != nil {
		s.end(reason)
	}
	return nil
}

// spring is a source that emits 1 when it is first asked, and what it is sent or woken for.
// An event passes its function first.
type spring struct {
	self     *stage.Handle
	emitter  *stage.Emitter[int]
	asked    bool
	woken    []int
	function func(v int) int
}

func (s *spring) HandleStart(_ context.Context, self *stage.Handle) error { s.self = self; return nil }
func (s *spring) HandleEmitter(emit *stage.Emitter[int])                  { s.emitter = emit }

func (s *spring) HandleDemand(_ context.Context, _ int, emit *stage.Emitter[int]) error {
	if !s.asked {
		s.asked = true
		emit.Emit(s.function(1))
	}
	return nil
}

func (s *spring) HandleWake(_ context.Context, emit *stage.Emitter[int]) error {
	for _, v := range s.woken {
		emit.Emit(s.function(v))
	}
	s.woken = nil
	return nil
}

func (s *spring) HandleInfo(_ context.Context, msg any) error {
	switch msg := msg.(type) {
	case int:
		s.emitter.Emit(s.function(msg))
	case error:
		return msg
	}
	return nil
}

// limits are those with which sources are tested: a source behind a rate is a wrapped one.
var limits = map[string]pipeline.Rate{"no rate": {}, "a rate": {PerSecond: 1e6, Burst: 1000}}

var sourceCases = []conformanceCase{
	{"B22_a transformation applies to all events of a source; one that panics makes the source anew", func(t *testing.T) {
		tenfold := func(v int) int {
			if v < 0 {
				panic("oops")
			}
			return 10 * v
		}
		for name, rate := range limits {
			p, l := pipeline.New(pipeline.Config{Logger: quiet, Rate: rate}), &list{}
			var lives []*spring
			in := pipeline.FromFunc(p, func() (stage.Producer[int], error) {
				lives = append(lives, &spring{function: tenfold})
				return lives[len(lives)-1], nil
			}, sourceConfig{Name: "source"})
			pipeline.Each(in, l.add, stepConfig{})
			r := pipelinetest.Run(t, p)
			synctest.Wait()
			lives[0].woken = []int{2}
			lives[0].self.Wake()
			synctest.Wait()
			lives[0].self.Send(3)
			synctest.Wait()
			is(t, name, l.all(), "[10 20 30]")
			lives[0].self.Send(-1)
			synctest.Wait()
			p.Drain()
			if err := r.Wait(); err != nil || len(lives) != 2 {
				t.Error(err, len(lives))
			}
			is(t, name, l.all()[:3], "[10 20 30]")
		}
	}},
	{"B34_a source that cannot start", func(t *testing.T) {
		for _, rate := range limits {
			p := pipeline.New(pipeline.Config{Logger: quiet, Rate: rate})
			in := pipeline.From(p, &starting{feed: newFeed(), start: func() error { return errFailed }}, sourceConfig{})
			pipeline.Each(in, none, stepConfig{})
			if err := p.Run(t.Context()); !errors.Is(err, errFailed) {
				t.Error(err)
			}
		}
	}},
	{"B34_what a source emits on demand and on a message passes through, and so does its end", func(t *testing.T) {
		for name, rate := range limits {
			for _, end := range []error{stage.ErrDone, errFailed} {
				p, l := pipeline.New(pipeline.Config{Logger: quiet, Rate: rate}), &list{}
				s := &spring{function: func(v int) int { return v }}
				pipeline.Each(pipeline.From(p, s, sourceConfig{}), l.add, stepConfig{})
				done := started(t, p)
				synctest.Wait()
				s.self.Send(2)
				s.self.Send(3)
				synctest.Wait()
				is(t, name, l.all(), "[1 2 3]")
				s.self.Send(end)
				if err := <-done; end == errFailed && !errors.Is(err, end) || end != errFailed && err != nil {
					t.Error(name, end, err)
				}
			}
		}
	}},
	{"B34_the end is passed on to a source that wants to know", func(t *testing.T) {
		for name, rate := range limits {
			for _, want := range []error{nil, errFailed} {
				p := pipeline.New(pipeline.Config{Logger: quiet, Rate: rate})
				ends := 0
				var reason error
				in := pipeline.From(p, &starting{feed: newFeed(1), start: func() error { return nil }, end: func(r error) { ends++; reason = r }}, sourceConfig{})
				pipeline.Each(in, none, stepConfig{})
				done := started(t, p)
				synctest.Wait()
				p.Stop(want)
				if err := <-done; ends != 1 || want != nil && !errors.Is(reason, want) {
					t.Error(name, err, ends, reason)
				}
			}
		}
	}},
}
