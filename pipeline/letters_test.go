package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/retry"
)

// TestStopOnFailure ends the pipeline with the first event that has failed for good, whose
// step is not made anew.
func TestStopOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet, Retry: retry.Policy{MaxAttempts: 1}})
		f := newFeed(upTo(10)...)
		pipeline.Each(pipeline.From(p, f, sourceConfig{}), func(_ context.Context, v int) error {
			if v == 5 {
				return errDead
			}
			return nil
		}, stepConfig{Name: "strict", OnFailure: pipeline.StopOnFailure})
		begun := time.Now()
		if err := <-started(t, p); !errors.Is(err, errDead) {
			t.Error(err)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("after %v", d)
		}
		if s := p.Snapshot(t.Context()).Steps[1]; s.Restarts != 0 || s.Error == "" {
			t.Errorf("%+v", s)
		}
		if end, ok := f.ends()[5]; ok && end != receipt.Abandoned {
			t.Errorf("the event has the receipt %v", end)
		}
	})
}

// taker is a sink that finds calls at the same time.
type taker struct {
	busy atomic.Bool
	got  []string
	bad  bool
}

func (s *taker) Write(_ context.Context, letters []deadletter.Letter) error {
	s.bad = s.bad || s.busy.Swap(true)
	time.Sleep(time.Millisecond)
	for _, l := range letters {
		s.got = append(s.got, fmt.Sprintf("%s/%s %s after %d: %s", l.Pipeline, l.Stage, l.Event, l.Attempts, l.Error))
	}
	s.busy.Store(false)
	return nil
}

// TestDeadLettersOfSeveralSteps go to one sink, which is called by one of them at a time.
func TestDeadLettersOfSeveralSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, own := &taker{}, &taker{}
		p := pipeline.New(pipeline.Config{Name: "p", Logger: quiet, DeadLetters: sink, Retry: retry.Policy{MaxAttempts: 2}})
		f := newFeed(upTo(30)...)
		fails := func(k int) func(context.Context, int) (int, error) {
			return func(_ context.Context, v int) (int, error) {
				if v%10 == k {
					return 0, errDead
				}
				return v, nil
			}
		}
		a := pipeline.Map(pipeline.From(p, f, sourceConfig{}), fails(1), stepConfig{Name: "a"})
		b := pipeline.Map(a, fails(2), stepConfig{Name: "b", Workers: 3})
		c := pipeline.Map(b, fails(3), stepConfig{Name: "c", DeadLetters: own})
		var l list
		pipeline.Each(c, l.add, stepConfig{})
		done := started(t, p)
		time.Sleep(time.Second)
		drained(t, p, done)
		slices.Sort(sink.got)
		want := []string{
			"p/a 1 after 2: dead", "p/a 11 after 2: dead", "p/a 21 after 2: dead",
			"p/b 12 after 2: dead", "p/b 2 after 2: dead", "p/b 22 after 2: dead",
		}
		if !slices.Equal(sink.got, want) || sink.bad {
			t.Errorf("%q, at the same time: %v", sink.got, sink.bad)
		}
		if len(own.got) != 3 || len(l.all()) != 21 {
			t.Errorf("%q, %d others", own.got, len(l.all()))
		}
		failed := 0
		for _, end := range f.ends() {
			if end == receipt.Failed {
				failed++
			}
		}
		if failed != 9 || len(f.ends()) != 30 {
			t.Errorf("%d failed of %d", failed, len(f.ends()))
		}
	})
}

// TestRunEndsWithASinkThatFails: nothing is left running, and the events have no receipt.
func TestRunEndsWithASinkThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := deadletter.SinkFunc(func(context.Context, []deadletter.Letter) error { return errDead })
		p := pipeline.New(pipeline.Config{Logger: quiet, DeadLetters: sink, DrainTimeout: time.Second, Retry: retry.Policy{MaxAttempts: 1}})
		f := newFeed(1)
		pipeline.Each(pipeline.From(p, f, sourceConfig{}), func(context.Context, int) error { return errDead }, stepConfig{})
		done := started(t, p)
		time.Sleep(time.Minute)
		p.Drain()
		if err := <-done; err == nil {
			t.Error("no error")
		}
		if end, ok := f.ends()[1]; ok && end != receipt.Abandoned {
			t.Errorf("the event has the receipt %v", end)
		}
	})
}
