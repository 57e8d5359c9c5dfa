package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

// sum is the state of the tests' reductions: the events of a key.
type sum struct{ n, total int }

func addTo(s *sum, v int) error {
	switch {
	case v < -1000:
		panic("a bad event")
	case v < 0:
		return errors.New("below zero")
	}
	s.n++
	s.total += v
	return nil
}

// show is the summary of a key.
func show(key string, s *sum) string { return fmt.Sprintf("%s: %d of %d", key, s.total, s.n) }

// parity is a key of the tests.
func parity(v int) string { return []string{"even", "odd"}[v&1] }

// texts is a sink of summaries.
type texts struct {
	mu  sync.Mutex
	got []string
}

func (l *texts) add(_ context.Context, s string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, s)
	return nil
}

// take returns what has come since the last time.
func (l *texts) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.got
	l.got = nil
	return got
}

func (l *texts) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := l.take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// reduced runs a pipeline of a feed, a reduction and a sink.
func reduced(t *testing.T, in *feed, cfg pipeline.ReduceConfig[int]) (out *texts, p *pipeline.Pipeline, done <-chan error) {
	t.Helper()
	out = new(texts)
	p = pipeline.New(pipeline.Config{Logger: quiet})
	cfg.Name = "sums"
	flow := pipeline.Reduce(pipeline.From(p, stage.Producer[int](in), pipeline.SourceConfig[int]{}), cfg, addTo, show)
	pipeline.Each(flow, out.add, pipeline.StepConfig[string]{})
	return out, p, started(t, p)
}

func ended(t *testing.T, p *pipeline.Pipeline, done <-chan error) {
	t.Helper()
	p.Drain()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Each period has a summary of the keys that have changed, and events have their receipts
// with it. The last one comes at the end.
func TestReduceSummarizesEachPeriod(t *testing.T) {
	for _, totals := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			in := newFeed()
			out, p, done := reduced(t, in, pipeline.ReduceConfig[int]{Key: parity, Totals: totals})
			synctest.Wait()
			in.push(1, 2, 3, 4)
			time.Sleep(990 * time.Millisecond)
			out.want(t)
			if n := len(in.ends()); n > 0 {
				t.Errorf("%d receipts before the summary", n)
			}
			time.Sleep(20 * time.Millisecond)
			out.want(t, "odd: 4 of 2", "even: 6 of 2")
			if n := len(in.ends()); n != 4 {
				t.Errorf("%d receipts after the summary", n)
			}
			time.Sleep(5 * time.Second)
			out.want(t) // nothing has changed
			in.push(5)
			time.Sleep(time.Second)
			if totals {
				out.want(t, "odd: 9 of 3")
			} else {
				out.want(t, "odd: 5 of 1")
			}
			in.push(6, 0)
			ended(t, p, done)
			if totals {
				out.want(t, "even: 12 of 4")
			} else {
				out.want(t, "even: 6 of 2")
			}
			in.allDone(t, 7)
		})
	}
}

// A step that is full emits its summaries early, and a total that is forgotten is counted.
func TestReduceIsBounded(t *testing.T) {
	key := func(v int) string { return fmt.Sprint(v % 3) }
	for name, tc := range map[string]struct {
		cfg       pipeline.ReduceConfig[int]
		want      []string // before the period is over
		last      []string
		forgotten int64
	}{
		"events": {
			pipeline.ReduceConfig[int]{Key: key, MaxEvents: 3},
			[]string{"0: 0 of 1", "1: 1 of 1", "2: 2 of 1", "0: 3 of 1", "1: 4 of 1", "2: 5 of 1"}, []string{"0: 6 of 1"}, 0,
		},
		"keys": {
			pipeline.ReduceConfig[int]{Key: key, MaxKeys: 2},
			[]string{"0: 0 of 1", "1: 1 of 1", "2: 2 of 1", "0: 3 of 1", "1: 4 of 1", "2: 5 of 1"}, []string{"0: 6 of 1"}, 0,
		},
		"keys of totals": {
			pipeline.ReduceConfig[int]{Key: key, MaxKeys: 2, Totals: true},
			[]string{"0: 0 of 1", "1: 1 of 1", "2: 2 of 1", "0: 3 of 1", "1: 4 of 1", "2: 5 of 1"}, []string{"0: 6 of 1"}, 5,
		},
		"events of totals": {
			pipeline.ReduceConfig[int]{Key: key, MaxEvents: 6, Totals: true},
			[]string{"0: 3 of 2", "1: 5 of 2", "2: 7 of 2"}, []string{"0: 9 of 3"}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newFeed(upTo(7)...)
				out, p, done := reduced(t, in, tc.cfg)
				out.want(t, tc.want...)
				for _, s := range p.Snapshot(t.Context()).Stages {
					if h, ok := s.Handler.(pipeline.ReduceSnapshot); ok && (h.Forgotten != tc.forgotten || h.Changed != 1 || h.Events != 1) {
						t.Errorf("%+v", h)
					}
				}
				ended(t, p, done)
				out.want(t, tc.last...)
				in.allDone(t, 7)
			})
		})
	}
}

// An event that cannot be added fails alone, by an error or a panic, also of Key, and the
// summary is that of the others.
func TestReduceFailsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newFeed(1, -1, 3, -2000, 5, 666, 7)
		out, p, done := reduced(t, in, pipeline.ReduceConfig[int]{Key: func(v int) string {
			if v == 666 {
				panic("no key")
			}
			return "all"
		}})
		time.Sleep(1100 * time.Millisecond)
		out.want(t, "all: 16 of 4")
		ended(t, p, done)
		for v, want := range map[int]receipt.Outcome{
			1: receipt.Done, 3: receipt.Done, 5: receipt.Done, 7: receipt.Done, -1: receipt.Failed, -2000: receipt.Failed, 666: receipt.Failed,
		} {
			if got, ok := in.ends()[v]; !ok || got != want {
				t.Errorf("event %d: %v, receipt %v", v, got, ok)
			}
		}
	})
}

// A summary that panics fails its events, and the keys beside it and after it go on.
func TestReduceSummaryPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := newFeed(1, 2, 3, 4), new(texts)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		flow := pipeline.Reduce(pipeline.From(p, stage.Producer[int](in), pipeline.SourceConfig[int]{}), pipeline.ReduceConfig[int]{Key: parity}, addTo,
			func(key string, s *sum) string {
				if s.total == 4 {
					panic("no summary")
				}
				return show(key, s)
			})
		pipeline.Each(flow, out.add, pipeline.StepConfig[string]{})
		done := started(t, p)
		time.Sleep(1100 * time.Millisecond)
		out.want(t, "even: 6 of 2")
		in.push(5)
		ended(t, p, done)
		out.want(t, "odd: 5 of 1")
		ends := in.ends()
		if ends[1] != receipt.Failed || ends[3] != receipt.Failed || ends[2] != receipt.Done || ends[5] != receipt.Done {
			t.Error(ends)
		}
	})
}

// A source that waits for receipts is not kept waiting for the period: one event of a key
// at a time would be one a period.
func TestReduceOfASourceThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := newFeed(upTo(10)...), new(texts)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		one := pipeline.Fair(pipeline.From(p, stage.Producer[int](in), pipeline.SourceConfig[int]{}), func(int) string { return "k" }, fair.Config[int]{})
		pipeline.Each(pipeline.Reduce(one, pipeline.ReduceConfig[int]{Every: time.Hour}, addTo, show), out.add, pipeline.StepConfig[string]{})
		begun := time.Now()
		done := started(t, p)
		synctest.Wait()
		if got := out.take(); len(got) != 10 || time.Since(begun) > time.Second {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
		ended(t, p, done)
		in.allDone(t, 10)
	})
}

// In four partitions each key has its events in one of them, and all events are counted.
func TestReduceInPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := newFeed(upTo(1000)...), new(texts)
		p := pipeline.New(pipeline.Config{Logger: quiet})
		key := func(v int) string { return fmt.Sprint(v % 50) }
		flow := pipeline.From(p, stage.Producer[int](in), pipeline.SourceConfig[int]{})
		for i, part := range pipeline.Partition(flow, 4, func(v int) uint64 { return uint64(v % 50) }) {
			cfg := pipeline.ReduceConfig[int]{Name: fmt.Sprint("sums-", i), Key: key}
			pipeline.Each(pipeline.Reduce(part, cfg, addTo, show), out.add, pipeline.StepConfig[string]{})
		}
		done := started(t, p)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		got := out.take()
		slices.Sort(got)
		var want []string
		for k := range 50 {
			want = append(want, fmt.Sprintf("%d: %d of 20", k, 20*k+50*190))
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		ended(t, p, done)
		in.allDone(t, 1000)
	})
}

// A step that is made anew is given the events again whose summary has no receipt.
func TestReduceIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newFeed(1, 2, 3, 4)
		out, p, done := reduced(t, in, pipeline.ReduceConfig[int]{Every: 10 * time.Second, Key: parity})
		synctest.Wait()
		step, _ := p.Step("sums")
		if err := step.Restart(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		out.want(t, "odd: 4 of 2", "even: 6 of 2")
		ended(t, p, done)
		if n := len(in.ends()); n != 4 {
			t.Errorf("%d receipts", n)
		}
	})
}

func TestReduceRefuses(t *testing.T) {
	for option, cfg := range map[string]pipeline.ReduceConfig[int]{
		"Every": {Every: 1}, "MaxKeys": {MaxKeys: -1}, "MaxEvents": {MaxEvents: -1}, "Restart.Window": {Restart: pipeline.Restart{Window: -1}},
	} {
		p := pipeline.New(pipeline.Config{})
		pipeline.Reduce(pipeline.From(p, stage.Producer[int](newFeed()), pipeline.SourceConfig[int]{}), cfg, addTo, show)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), "option "+option+" refused") {
			t.Errorf("%s: %v", option, err)
		}
	}
}
