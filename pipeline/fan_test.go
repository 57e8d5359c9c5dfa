package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-go/penstock/dispatcher/fair"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/receipt"
	"github.com/penstock-go/penstock/stage"
)

func run(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMergeTakesAllFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		a := pipeline.From(p, numbers(10), sourceConfig{})
		b := pipeline.Map(pipeline.From(p, numbers(10), sourceConfig{}), func(_ context.Context, v int) (int, error) { return v + 10, nil }, stepConfig{})
		var l list
		pipeline.Each(pipeline.Merge(a, b), l.add, stepConfig{})
		run(t, p)
		l.has(t, 20)
	})
}

func TestBroadcastGivesOneReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		f := newFeed(upTo(100)...)
		b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
		var x, y list
		pipeline.Each(b.Branch("x", pipeline.BranchConfig{}), x.add, stepConfig{})
		pipeline.Each(b.Branch("y", pipeline.BranchConfig{Buffer: 3}), func(ctx context.Context, v int) error {
			time.Sleep(time.Millisecond)
			return y.add(ctx, v)
		}, stepConfig{})
		done := started(t, p)
		time.Sleep(time.Second)
		p.Drain()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		x.has(t, 100)
		y.has(t, 100)
		f.allDone(t, 100)
	})
}

// TestBranchThatIsBehind: with Pause all wait for it; otherwise it loses events, each of
// which has its receipt.
func TestBranchThatIsBehind(t *testing.T) {
	for _, tc := range []struct {
		overflow pipeline.Overflow
		want     string // what the branch has got when it goes on
		fast     int    // what the other one has got until then
	}{
		{pipeline.Pause, "[0 1 2 3 4]... 100", 12},
		{pipeline.DropOldest, "[0 95 96 97 98]... 6", 100},
		{pipeline.DropNewest, "[0 1 2 3 4]... 6", 100},
	} {
		t.Run(fmt.Sprint(tc.overflow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline.New(pipeline.Config{Logger: quiet})
				f := newFeed()
				b := pipeline.Broadcast(pipeline.From(p, f, sourceConfig{}))
				var slow, fast list
				gate := make(chan struct{})
				pipeline.To(b.Branch("slow", pipeline.BranchConfig{Buffer: 5, Overflow: tc.overflow}), func() (stage.Consumer[int], error) {
					return stage.ConsumerFunc[int](func(ctx context.Context, events []int) error {
						<-gate
						for _, v := range events {
							_ = slow.add(ctx, v)
						}
						return nil
					}), nil
				}, pipeline.StageConfig{MaxDemand: 1})
				pipeline.Each(b.Branch("fast", pipeline.BranchConfig{}), fast.add, stepConfig{})
				done := started(t, p)
				for i := range 100 {
					f.push(i)
					synctest.Wait()
				}
				if n := len(fast.all()); n > tc.fast || tc.overflow != pipeline.Pause && n < tc.fast {
					t.Errorf("the fast one has %d", n)
				}
				close(gate)
				drained(t, p, done)
				got := slow.all()
				if text := fmt.Sprintf("%v... %d", got[:5], len(got)); text != tc.want {
					t.Errorf("got %s, want %s", text, tc.want)
				}
				fast.has(t, 100)
				dropped := 0
				for _, end := range f.ends() {
					if end == receipt.Discarded {
						dropped++
					}
				}
				if n := len(f.ends()); n != 100 || dropped != 100-len(got) {
					t.Errorf("%d receipts, %d dropped", n, dropped)
				}
			})
		})
	}
}

func TestPartitionKeepsKeysApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		flows := pipeline.Partition(pipeline.From(p, numbers(100), sourceConfig{}), 3, func(v int) uint64 {
			if v == 50 {
				panic("oops")
			}
			return uint64(v)
		})
		lists := make([]list, len(flows))
		for i, flow := range flows {
			pipeline.Each(flow, lists[i].add, stepConfig{})
		}
		run(t, p)
		total := 0
		for i := range lists {
			for _, v := range lists[i].all() {
				if v%3 != i {
					t.Errorf("%d is in partition %d", v, i)
				}
				total++
			}
			if !slices.IsSorted(lists[i].all()) {
				t.Errorf("partition %d is out of order", i)
			}
		}
		if total != 99 {
			t.Errorf("%d events, want 99", total)
		}
	})
}

func TestRouteByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		routes := pipeline.Route(pipeline.From(p, numbers(9), sourceConfig{}), []string{"even", "odd"}, func(v int) string {
			if v == 8 {
				return "no such name"
			}
			return []string{"even", "odd"}[v%2]
		})
		var even, odd list
		pipeline.Each(routes.Flow("even"), even.add, stepConfig{})
		pipeline.Each(routes.Flow("odd"), odd.add, stepConfig{})
		run(t, p)
		if got := fmt.Sprint(even.all(), odd.all()); got != "[0 2 4 6] [1 3 5 7]" {
			t.Error(got)
		}
	})
}

// An event that no flow of a route or partition takes is a failure of that event: it has a
// letter, and the step that is named after the route counts it.
func TestNoFlowIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &taker{}
		p := pipeline.New(pipeline.Config{Name: "p", Logger: quiet, DeadLetters: sink})
		f := complete(9)
		in := pipeline.From(p, f, sourceConfig{})
		route := pipeline.Route(in, []string{"even", "odd"}, func(v int) string {
			switch v {
			case 8:
				return "no such name"
			case 7:
				panic("seven")
			}
			return []string{"even", "odd"}[v%2]
		})
		var even, odd list
		pipeline.Each(route.Flow("even"), even.add, stepConfig{})
		pipeline.Each(pipeline.Partition(route.Flow("odd"), 1, func(v int) uint64 {
			if v == 5 {
				panic("five")
			}
			return 0
		})[0], odd.add, stepConfig{})
		run(t, p)
		if got := fmt.Sprint(even.all(), odd.all()); got != "[0 2 4 6] [1 3]" {
			t.Error(got)
		}
		f.haveFailed(t, 9, 5, 7, 8)
		slices.Sort(sink.got)
		want := []string{
			`p/partition-5 5 after 1: panic: five`, `p/route-2 7 after 1: panic: seven`, `p/route-2 8 after 1: there is no flow of the name "no such name"`,
		}
		if len(sink.got) != 3 || !strings.HasSuffix(sink.got[0], "panic: five") || !slices.Equal(sink.got[1:], want[1:]) {
			t.Errorf("%q", sink.got)
		}
		failures := map[string]int64{}
		for _, s := range p.Snapshot(t.Context()).Stages {
			if w, ok := s.Handler.(pipeline.WorkSnapshot); ok && w.Failures > 0 {
				failures[s.Name] = w.Failures
			}
		}
		if failures["route-2"] != 2 || len(failures) != 2 {
			t.Error(failures)
		}
	})
}

func TestFairSharesBetweenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		// 99 events of key 0, then one of key 1: it goes ahead of most of them.
		in := pipeline.Map(pipeline.From(p, numbers(100), sourceConfig{}), same, stepConfig{})
		flow := pipeline.Fair(in, func(v int) int { return v / 99 }, fair.Config[int]{})
		var l list
		pipeline.To(flow, pool(func(ctx context.Context, v int) error {
			time.Sleep(time.Millisecond)
			return l.add(ctx, v)
		}), pipeline.StageConfig{MaxDemand: 4})
		run(t, p)
		l.has(t, 100)
		if at := slices.Index(l.all(), 99); at > 20 {
			t.Errorf("the only event of a key was number %d", at)
		}
	})
}

// TestOneDispatcherEach: a step has one dispatcher, so that a second thing that needs one
// gets a step of its own.
func TestOneDispatcherEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New(pipeline.Config{Logger: quiet})
		in := pipeline.Fair(pipeline.From(p, numbers(30), sourceConfig{}), func(v int) int { return v % 3 }, fair.Config[int]{})
		var lists [2]list
		for i, flow := range pipeline.Partition(in, 2, func(v int) uint64 { return uint64(v) }) {
			pipeline.Each(flow, lists[i].add, stepConfig{})
		}
		run(t, p)
		if a, b := len(lists[0].all()), len(lists[1].all()); a != 15 || b != 15 {
			t.Error(a, b)
		}
	})
}

func TestMistakesOfFans(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build func(p *pipeline.Pipeline, in *pipeline.Flow[int])
		want  []string
	}{
		{"a broadcast without a branch", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) { pipeline.Broadcast(in) },
			[]string{`pipeline step "broadcast-2": option branches`}},
		{"a name of two branches", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			b := pipeline.Broadcast(in)
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), none, stepConfig{})
			pipeline.Each(b.Branch("a", pipeline.BranchConfig{}), none, stepConfig{})
		}, []string{`pipeline step "a": option Name`}},
		{"a wrong branch", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Broadcast(in).Branch("a", pipeline.BranchConfig{Buffer: -1}), none, stepConfig{})
		}, []string{`pipeline step "a": option Buffer`}},
		{"a flow merged with itself", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Merge(in, in), none, stepConfig{})
		}, []string{`pipeline step "merge-2": option flows[1]`}},
		{"a nil flow", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Merge(nil, in), none, stepConfig{})
		}, []string{`pipeline step "merge-2": option flows[0]`}},
		{"a flow of another pipeline", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			other := pipeline.New(pipeline.Config{Name: "other", Logger: quiet})
			pipeline.Each(pipeline.Merge(in, pipeline.From(other, numbers(1), sourceConfig{})), none, stepConfig{})
		}, []string{`pipeline step "merge-2": option flows[1]`}},
		{"a wrong option of fair", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Fair(in, func(v int) int { return v }, fair.Config[int]{Credits: 65}), none, stepConfig{})
		}, []string{`pipeline step "fair-2": option Credits`}},
		{"no partitions", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Partition(in, 0, func(v int) uint64 { return 0 })
		}, []string{`pipeline step "partition-2": option n`}},
		{"a partition not taken", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Partition(in, 2, func(v int) uint64 { return 0 })[0], none, stepConfig{})
		}, []string{`pipeline step "partition-2/1": option flow`}},
		{"no hash", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			pipeline.Each(pipeline.Partition(in, 1, nil)[0], none, stepConfig{})
		}, []string{`pipeline step "partition-2": option hash`}},
		{"an unknown route", func(p *pipeline.Pipeline, in *pipeline.Flow[int]) {
			r := pipeline.Route(in, []string{"a"}, func(int) string { return "a" })
			pipeline.Each(r.Flow("a"), none, stepConfig{})
			pipeline.Each(r.Flow("b"), none, stepConfig{})
		}, []string{`pipeline step "route-2": option Flow`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := pipeline.New(pipeline.Config{Logger: quiet})
			tc.build(p, pipeline.From(p, numbers(1), sourceConfig{Name: "source"}))
			err := p.Run(t.Context())
			var refused *pipeline.OptionError
			if !errors.As(err, &refused) {
				t.Fatalf("%v is no *OptionError", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("%d errors: %v", len(lines), err)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%q does not begin with %q", lines[i], want)
				}
			}
		})
	}
}
